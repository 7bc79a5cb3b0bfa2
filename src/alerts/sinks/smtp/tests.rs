//! Mails as a server takes them: threads, digests, refusals.

use super::super::double::MailServer;
use super::*;
use crate::alerts::sample;

fn sink(server: &MailServer, digest: Option<Period>) -> Box<dyn Sink> {
    let spec = Smtp {
        address: server.address.clone(),
        security: Security::None,
        from: "apiwarden <apiwarden@corp.example>".to_owned(),
        to: vec!["soc@corp.example".to_owned(), "night@corp.example".to_owned()],
        username: None,
        password: None,
        digest,
        name: None,
        link: Some("https://soc.example/i/{id}".to_owned().try_into().unwrap()),
        ca_file: None,
    };
    spec.check(&Surroundings::default()).unwrap().open().unwrap()
}

fn step(revision: u32, activity: Activity, severity: Severity) -> Delivery {
    Delivery::of(&Alert { revision, activity, severity, ..sample() })
}

fn header<'a>(mail: &'a str, name: &str) -> Option<&'a str> {
    mail.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn the_steps_of_an_incident_are_a_thread_under_one_subject() {
    let server = MailServer::start();
    let mut sink = sink(&server, None);
    sink.deliver(&[step(1, Activity::Create, Severity::Medium)]).unwrap();
    // A restart between two steps does not break the thread.
    let position = sink.position();
    sink = self::sink(&server, None);
    sink.resume(&position).unwrap();
    sink.deliver(&[step(2, Activity::Update, Severity::High), step(3, Activity::Close, Severity::High)]).unwrap();

    let mails = server.mails();
    let subject = "Medium: Bulk upload to a known vendor [aw-7f3c]";
    let of = |name| mails.iter().map(|mail| header(mail, name).map(str::to_owned)).collect::<Vec<_>>();
    let texts = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned())).to_vec();
    assert_eq!(of("Subject"), texts([subject, &format!("Re: {subject}"), &format!("Re: {subject}")]));
    let ids = ["<aw-7f3c-1@corp.example>", "<aw-7f3c-2@corp.example>", "<aw-7f3c-3@corp.example>"];
    assert_eq!(of("Message-ID"), texts(ids));
    assert_eq!(of("In-Reply-To"), [None, Some(ids[0].to_owned()), Some(ids[0].to_owned())]);
    assert_eq!(of("References"), of("In-Reply-To"));
    assert_eq!(of("Auto-Submitted"), texts(["auto-generated"; 3]));
    assert!(mails[0].contains("https://soc.example/i/aw-7f3c"), "{}", mails[0]);
}

#[test]
fn no_name_of_a_log_becomes_a_header() {
    let server = MailServer::start();
    let evil = "x\r\nBcc: thief@evil.example\r\n\r\n.\r\nMAIL FROM:<a@b>";
    let alert = Alert { title: evil.to_owned(), caller: Some(evil.to_owned()), message: evil.to_owned(), ..sample() };
    sink(&server, None).deliver(&[Delivery::of(&alert)]).unwrap();
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(header(&mails[0], "Bcc"), None, "{}", mails[0]);
    assert!(!mails[0].lines().any(|line| line.starts_with("Bcc") || line.starts_with("MAIL")), "{}", mails[0]);
}

#[test]
fn a_digest_is_one_mail_when_its_day_is_over_and_survives_a_restart() {
    let server = MailServer::start();
    let mut sink = sink(&server, Some(Period::Daily));
    let midnight = (sample().time / DAY + 1) * DAY;
    sink.deliver(&[step(1, Activity::Create, Severity::Medium), step(2, Activity::Close, Severity::High)]).unwrap();
    assert!(!sink.rest(midnight + HOUR - 1).unwrap(), "it may still be late");
    let position = sink.position();
    sink = self::sink(&server, Some(Period::Daily));
    sink.resume(&position).unwrap();
    assert!(sink.rest(midnight + HOUR).unwrap());
    assert!(!sink.rest(midnight + HOUR).unwrap(), "once");

    // The first step of another day sends what was of the day before.
    let of_day =
        |day: i64, id: &str| Delivery::of(&Alert { id: id.to_owned(), time: midnight + day * DAY, ..sample() });
    sink.deliver(&[of_day(1, "aw-1"), of_day(1, "aw-2"), of_day(2, "aw-3")]).unwrap();
    let mails = server.mails();
    let subjects: Vec<_> = mails.iter().map(|mail| header(mail, "Subject").unwrap()).collect();
    assert_eq!(
        subjects,
        ["Alerts of 2026-09-01: 1 incidents, at most High", "Alerts of 2026-09-03: 2 incidents, at most High"]
    );
    assert_eq!(header(&mails[0], "Message-ID"), Some("<digest-2026-09-01-aw-7f3c@corp.example>"));
    assert!(mails[0].contains("1 incidents, 2 steps on 2026-09-01"), "{}", mails[0]);
}

#[test]
fn what_a_mail_server_answers_says_whether_to_come_again() {
    use super::super::Patience;
    let server = MailServer::start();
    let mut sink = sink(&server, None);
    let mut answers = |command: &'static str, answer: &'static str| {
        *server.answers.lock().unwrap() = [(command, answer)].into();
        let problem = sink.deliver(&[step(1, Activity::Create, Severity::High)]).unwrap_err();
        (problem.patience(), problem.refused().is_some())
    };
    assert_eq!(answers("RCPT", "451 greylisted\r\n"), (Patience::Endless, false));
    assert_eq!(answers("RCPT", "550 unknown\r\n"), (Patience::None, false));
    assert_eq!(answers("MAIL", "421 too busy\r\n"), (Patience::Endless, false));
    assert_eq!(answers("mail", "552 too large\r\n"), (Patience::None, true));
    server.answers.lock().unwrap().clear();
    sink.deliver(&[step(1, Activity::Create, Severity::High)]).unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[test]
fn a_password_is_not_sent_in_the_clear_and_shown_nowhere() {
    let section =
        "address = '127.0.0.1:9'\nfrom = 'a@b.example'\nto = ['c@d.example']\nusername = 'u'\npassword = 'hunter2'";
    let spec: Smtp = toml::from_str(section).unwrap();
    let shown = format!("{spec:?}");
    let plan = spec.check(&Surroundings::default()).unwrap();
    let problem = plan.open().unwrap().deliver(&[step(1, Activity::Create, Severity::High)]).unwrap_err();
    let all = format!("{shown} {plan:?} {problem}");
    assert!(!all.contains("hunter2"), "{all}");
}
