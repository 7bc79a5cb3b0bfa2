//! What may be done with a topic, asked of the brokers' access control (DescribeTopics).
//!
//! rdkafka has no such call yet, so librdkafka's own is used: the only unsafe code of the library. Every object that it makes is
//! owned by an [`Owned`] and freed once.
//!
//! Not here: rights for groups and for the whole cluster.
#![allow(unsafe_code, reason = "rdkafka lacks DescribeTopics")]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings::*;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

/// What may be done with a topic, as far as the brokers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Its records may be read.
    pub read: bool,
    /// Records may be written to it.
    pub write: bool,
}

impl Rights {
    /// Where brokers do not say, no right is known to be missing.
    pub(super) const UNKNOWN: Self = Self { read: true, write: true };
}

/// An object of librdkafka, and how it is freed.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by the constructor that belongs to this destructor, and owned by us alone.
            unsafe { self.1(self.0) }
        }
    }
}

/// What may be done with a topic.
pub(super) fn rights<C: ClientContext>(client: &Client<C>, topic: &str, timeout: Duration) -> KafkaResult<Rights> {
    let name = CString::new(topic)?;
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let native = client.native_ptr();
    // SAFETY: `native` lives as long as `client`. Each object is freed by its own destructor, in reverse order, after the call: the queue
    // after the event that came from it. `name` outlives the collection, which copies it.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = Owned(
            rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            rd_kafka_TopicCollection_destroy,
        );
        let options = Owned(
            rd_kafka_AdminOptions_new(native, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            rd_kafka_AdminOptions_destroy,
        );
        let refused = rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1);
        drop(Owned(refused, rd_kafka_error_destroy));
        rd_kafka_AdminOptions_set_request_timeout(options.0, milliseconds, ptr::null_mut(), 0);
        let queue = Owned(rd_kafka_queue_new(native), rd_kafka_queue_destroy);
        rd_kafka_DescribeTopics(native, topics.0, options.0, queue.0);
        // The answer, or that none came, arrives within the timeout of the request.
        let event = Owned(rd_kafka_queue_poll(queue.0, milliseconds.saturating_add(1_000)), rd_kafka_event_destroy);
        read(event.0)
    }
}

/// Reads the answer about one topic.
///
/// # Safety
/// `event` is null or an event of librdkafka, which the caller owns.
unsafe fn read(event: *mut rd_kafka_event_t) -> KafkaResult<Rights> {
    let failed = |code: rd_kafka_resp_err_t| Err(KafkaError::MetadataFetch(RDKafkaErrorCode::from(code)));
    if event.is_null() {
        return failed(rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT);
    }
    // SAFETY: all that is read belongs to the event, and every pointer is checked before it is followed.
    unsafe {
        let error = rd_kafka_event_error(event);
        if error != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return failed(error);
        }
        let result = rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics =
            if result.is_null() { ptr::null_mut() } else { rd_kafka_DescribeTopics_result_topics(result, &mut count) };
        if topics.is_null() || count == 0 {
            return Ok(Rights::UNKNOWN);
        }
        let error = rd_kafka_TopicDescription_error(*topics);
        if !error.is_null() && rd_kafka_error_code(error) != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return failed(rd_kafka_error_code(error));
        }
        let mut count = 0;
        let operations = rd_kafka_TopicDescription_authorized_operations(*topics, &mut count);
        // Whoever is told of a topic may at least describe it: brokers that name no right at all do not say.
        if operations.is_null() || count == 0 {
            return Ok(Rights::UNKNOWN);
        }
        let operations = std::slice::from_raw_parts(operations, count);
        let may = |operation| operations.contains(&operation);
        Ok(Rights {
            read: may(rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ),
            write: may(rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE),
        })
    }
}
