//! The consumer against the mock cluster: what it knows of the ends of partitions, and how it leaves the group.

use super::mock::Mock;
use super::*;

fn source(mock: &Mock) -> Source {
    Source {
        connection: mock.connection(Properties::new()),
        topics: vec!["calls".to_owned()],
        group: "ends".to_owned(),
        keyed_by_caller: false,
        start: Start::Earliest,
    }
}

/// Polls until the group has assigned partitions, and takes them.
fn take_all(consumer: &Consumer) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < deadline, "no assignment");
        if let Event::Assigned(partitions) = consumer.poll().unwrap() {
            consumer.take(&partitions, &BTreeMap::new()).unwrap();
            return;
        }
    }
}

fn read(consumer: &Consumer, records: usize) {
    let (mut left, deadline) = (records, Instant::now() + Duration::from_secs(30));
    while left > 0 {
        assert!(Instant::now() < deadline, "{left} records are missing");
        if let Event::Records(batches) = consumer.poll().unwrap() {
            left -= batches.iter().map(|batch| batch.records.len()).sum::<usize>();
        }
    }
}

#[track_caller]
fn ask(consumer: &Consumer, read_to: &[(&str, Option<i64>)]) -> BTreeMap<String, bool> {
    consumer.ask_ends(read_to.iter().map(|(name, next)| ((*name).to_owned(), *next)).collect());
    consumer.ends(Duration::from_secs(10)).expect("an answer").at_end
}

#[test]
fn the_leader_says_whether_a_partition_was_read_to_its_end_and_statistics_do_not() {
    let mock = Mock::with_topics(&[("calls", 2)]);
    mock.produce("calls", 0, (0..3).map(|number| number.to_string()));
    let consumer = Consumer::open(&source(&mock), None).unwrap();
    take_all(&consumer);
    read(&consumer, 3);
    let at_end = |first, second| BTreeMap::from([("calls/0".to_owned(), first), ("calls/1".to_owned(), second)]);
    assert_eq!(ask(&consumer, &[("calls/0", Some(3)), ("calls/1", Some(0))]), at_end(true, true));

    // While nobody polls, as in a stall, statistics stand still.
    mock.produce("calls", 1, ["unread".to_owned()]);
    assert_eq!(ask(&consumer, &[("calls/0", Some(3)), ("calls/1", Some(0))]), at_end(true, false));
}

#[test]
fn a_partition_that_nobody_knows_the_beginning_of_is_at_its_end_once_all_that_was_fetched_is_handed_out() {
    let mock = Mock::with_topics(&[("calls", 1)]);
    mock.produce("calls", 0, ["one".to_owned()]);
    let consumer = Consumer::open(&source(&mock), None).unwrap();
    take_all(&consumer);
    read(&consumer, 1);
    consumer.ask_ends(BTreeMap::from([("calls/0".to_owned(), None)]));
    assert_eq!(consumer.ends(Duration::from_secs(1)), None, "no statistics of this assignment yet");

    let deadline = Instant::now() + Duration::from_secs(30);
    while consumer.inner.context().handed_out("calls/0").is_none() {
        assert!(Instant::now() < deadline, "statistics never say what was fetched");
        consumer.poll().unwrap();
    }
    assert_eq!(ask(&consumer, &[("calls/0", None)]), BTreeMap::from([("calls/0".to_owned(), true)]));
    mock.produce("calls", 0, ["two".to_owned()]);
    assert_eq!(ask(&consumer, &[("calls/0", None)]), BTreeMap::from([("calls/0".to_owned(), false)]));
}

#[test]
fn brokers_that_are_away_give_no_evidence() {
    let mock = Mock::with_topics(&[("calls", 1)]);
    mock.produce("calls", 0, ["one".to_owned()]);
    let consumer = Consumer::open(&source(&mock), None).unwrap();
    take_all(&consumer);
    read(&consumer, 1);
    mock.cluster.broker_down(1).unwrap();
    consumer.ask_ends(BTreeMap::from([("calls/0".to_owned(), Some(1))]));
    assert_eq!(consumer.ends(2 * ENDS_TIMEOUT), None);
    mock.cluster.broker_up(1).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while consumer.ends(Duration::ZERO).is_none() {
        assert!(Instant::now() < deadline, "no answer, though the broker is back");
        consumer.poll().unwrap();
        consumer.ask_ends(BTreeMap::from([("calls/0".to_owned(), Some(1))]));
    }
}

#[test]
fn leaving_ends_though_an_assignment_of_nothing_was_not_answered() {
    let mock = Mock::with_topics(&[("calls", 1)]);
    let open = |()| Consumer::open(&source(&mock), None).unwrap();
    let mut members: Vec<Consumer> = [(); 2].map(open).into();
    let deadline = Instant::now() + Duration::from_secs(180);
    let without = loop {
        assert!(Instant::now() < deadline, "both are members at last, and one has nothing");
        let has_nothing = |member: &Consumer| match member.poll().unwrap() {
            Event::Assigned(partitions) if partitions.is_empty() => true,
            Event::Assigned(partitions) => {
                member.take(&partitions, &BTreeMap::new()).unwrap();
                false
            }
            Event::Revoked(partitions) => {
                member.release(&partitions).unwrap();
                false
            }
            _ => false,
        };
        if let Some(index) = members.iter().position(has_nothing) {
            break members.remove(index);
        }
    };
    let (sender, left) = mpsc::channel();
    std::thread::spawn(move || {
        drop(without);
        sender.send(())
    });
    assert!(left.recv_timeout(Duration::from_secs(30)).is_ok(), "it waits for the answer without end");
}
