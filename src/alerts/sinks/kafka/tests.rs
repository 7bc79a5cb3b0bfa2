//! The Kafka sink against the mock cluster: what was delivered before a crash is not delivered again.

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::super::Patience;
use super::*;
use crate::ingest::connection::Property;
use crate::ingest::kafka::mock::Mock;

const TOPIC: &str = "alerts";
const PARTITIONS: i32 = 2;

fn mock() -> Mock {
    Mock::with_topics(&[(TOPIC, PARTITIONS)])
}

fn plan(mock: &Mock) -> Topic {
    let properties = Properties::from([("message.timeout.ms".to_owned(), Property::Number(2000))]);
    Topic { name: TOPIC.to_owned(), connection: mock.connection(properties) }
}

fn deliveries(uids: &[&str]) -> Vec<Delivery> {
    let one = |uid: &&str| Delivery {
        uid: uid.to_string(),
        key: Some(uid.as_bytes().to_vec()),
        headers: vec![("aw-severity".to_owned(), b"high".to_vec())],
        body: b"{}".to_vec(),
        alert: None,
    };
    uids.iter().map(one).collect()
}

#[track_caller]
fn assert_landed(mock: &Mock, uids: &[&str]) {
    let mut landed: Vec<_> =
        mock.read(TOPIC, PARTITIONS).into_iter().map(|record| record.headers[UID].clone()).collect();
    landed.sort();
    assert_eq!(landed, uids);
}

#[test]
fn what_landed_after_the_checkpoint_is_not_doubled_even_by_a_second_crash() {
    let mock = mock();
    let mut sink = plan(&mock).open().unwrap();
    sink.deliver(&deliveries(&["a", "b"])).unwrap();
    let checkpoint = sink.position();
    sink.deliver(&deliveries(&["c", "d"])).unwrap();
    drop(sink);

    let mut sink = plan(&mock).open().unwrap();
    sink.resume(&checkpoint).unwrap();
    sink.deliver(&deliveries(&["c"])).unwrap();
    let second = sink.position();
    drop(sink);

    let mut sink = plan(&mock).open().unwrap();
    sink.resume(&second).unwrap();
    sink.deliver(&deliveries(&["d", "e"])).unwrap();
    assert_landed(&mock, &["a", "b", "c", "d", "e"]);
    let SinkPosition::Topic { ends, landed } = sink.position() else { panic!("no topic") };
    assert_eq!((ends.values().sum::<i64>(), landed.len()), (5, 0));
}

#[test]
fn a_delivery_that_no_broker_acknowledged_is_an_error_and_is_made_up_for_once() {
    let mock = mock();
    let mut sink = plan(&mock).open().unwrap();
    sink.deliver(&deliveries(&["a"])).unwrap();
    mock.cluster.broker_down(1).unwrap();
    let error = sink.deliver(&deliveries(&["b", "c"])).unwrap_err();
    assert!(matches!(error, SinkError::Unacknowledged { count: 2, .. }), "{error}");
    mock.cluster.broker_up(1).unwrap();
    sink.deliver(&deliveries(&["b", "c"])).unwrap();
    assert_landed(&mock, &["a", "b", "c"]);
}

/// A delivery that the sink's own limit refuses.
fn large(uid: &str) -> Delivery {
    Delivery { body: vec![b'x'; 4_000], ..deliveries(&[uid]).remove(0) }
}

#[test]
fn a_delivery_that_is_too_large_is_named_and_the_others_land_once() {
    let mock = mock();
    let limit = Properties::from([("message.max.bytes".to_owned(), Property::Number(2_000))]);
    let mut sink = Topic { name: TOPIC.to_owned(), connection: mock.connection(limit) }.open().unwrap();
    let mut all = deliveries(&["a", "b", "c"]);
    all.insert(1, large("large"));
    let error = sink.deliver(&all).unwrap_err();
    assert_eq!((error.refused(), error.patience()), (Some("large"), Patience::None), "{error}");
    all.remove(1);
    sink.deliver(&all).unwrap();
    assert_landed(&mock, &["a", "b", "c"]);
}

/// How the mock answers the next requests to produce.
fn answers(mock: &Mock, codes: &[RDKafkaRespErr]) {
    mock.cluster.request_errors(RDKafkaApiKey::Produce, codes);
}

#[test]
fn brokers_that_refuse_a_batch_are_asked_about_each_of_its_records() {
    let mock = mock();
    let mut sink = plan(&mock).open().unwrap();
    let [whole, one] = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2];
    // The records are of two partitions, so of two batches; then the first that is sent alone is refused again.
    answers(&mock, &[whole, whole, one]);
    let all = deliveries(&["a", "b", "c", "d", "e", "f"]);
    let error = sink.deliver(&all).unwrap_err();
    let refused = error.refused().unwrap_or_else(|| panic!("{error}")).to_owned();
    let rest: Vec<Delivery> = all.into_iter().filter(|delivery| delivery.uid != refused).collect();
    sink.deliver(&rest).unwrap();
    assert_eq!(mock.read(TOPIC, PARTITIONS).len(), 5);
}

#[test]
fn a_topic_that_may_not_be_written_is_no_matter_of_patience() {
    let mock = mock();
    let mut sink = plan(&mock).open().unwrap();
    answers(&mock, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 2]);
    let error = sink.deliver(&deliveries(&["a", "b"])).unwrap_err();
    assert_eq!((error.refused(), error.patience()), (None, Patience::None), "{error}");
}
