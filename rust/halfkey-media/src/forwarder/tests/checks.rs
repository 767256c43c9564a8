//! Connectivity checks: who is answered, and what is left to others.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::super::{CheckFigures, Checked, ControlError, Credentials, DropReason, Forwarder};
use super::helpers::{Collected, START, Sent, conference};
use crate::StunRejection;
use crate::stun::{Password, request};

const PASSWORD: &str = "a password of twenty-two";
const ELSEWHERE: &str = "198.51.100.7:4711";

fn credentials(ufrag: &str) -> Arc<Credentials> {
    Arc::new(Credentials::new(ufrag, PASSWORD, "peer"))
}

/// What becomes of a check, and what is answered.
fn check(
    forwarder: &mut Forwarder,
    from: SocketAddr,
    username: &str,
    nominates: bool,
) -> (Result<Checked, DropReason>, Sent) {
    let message = request(&[1; 12], username, nominates, &Password::new(PASSWORD));
    let mut output = Collected::default();
    let found = forwarder.receive_check(from, &message, START, &mut output);
    (found, output.sent)
}

const UNKNOWN: Result<Checked, DropReason> = Err(DropReason::Stun(StunRejection::UnknownUsername));

#[test]
fn a_check_is_answered_wherever_it_comes_from_unless_it_moves_the_participant() {
    let (mut forwarder, endpoints) = conference(2);
    let (home, elsewhere) = (endpoints[0].address, ELSEWHERE.parse().expect("valid"));
    assert_eq!(
        check(&mut forwarder, home, "ours:peer", true),
        (UNKNOWN, vec![])
    );
    (forwarder.set_credentials(1, &credentials("ours"))).expect("there");
    for (from, nominates) in [(home, false), (home, true), (elsewhere, false)] {
        let (found, sent) = check(&mut forwarder, from, "ours:peer", nominates);
        assert_eq!(found, Ok(Checked::Done));
        assert_eq!((sent.len(), sent[0].0), (1, from));
        assert_eq!(sent[0].1[..2], [1, 1]);
    }
    let moves = check(&mut forwarder, elsewhere, "ours:peer", true);
    assert_eq!(moves, (Ok(Checked::Changes), vec![]));
    assert_eq!(forwarder.peer(&elsewhere), None, "nothing changed");

    let seconds = Duration::from_secs(3);
    let figures = CheckFigures {
        count: 3,
        last: seconds,
    };
    assert_eq!(forwarder.checks(START + seconds), [(1, figures)]);
    assert_eq!(forwarder.statistics().answered_checks, 3);
}

#[test]
fn who_proves_nothing_gets_nothing() {
    let (mut forwarder, endpoints) = conference(2);
    let home = endpoints[0].address;
    (forwarder.set_credentials(1, &credentials("ours"))).expect("there");
    for username in [
        "",
        "ours",
        "theirs:peer",
        "ours:other",
        "ours:peer:",
        "peer:ours",
    ] {
        assert_eq!(
            check(&mut forwarder, home, username, true),
            (UNKNOWN, vec![])
        );
    }
    let message = request(&[1; 12], "ours:peer", false, &Password::new("another"));
    let mut output = Collected::default();
    let found = forwarder.receive_check(home, &message, START, &mut output);
    assert_eq!(found, Err(StunRejection::Authentication.into()));
    assert!(output.sent.is_empty() && forwarder.checks(START).is_empty());
    assert_eq!(
        check(&mut forwarder, home, "ours:peer", true).1.len(),
        1,
        "the control"
    );
}

#[test]
fn credentials_end_with_others_and_with_the_participant() {
    let (mut forwarder, endpoints) = conference(2);
    let home = endpoints[0].address;
    let done = Ok(Checked::Done);
    (forwarder.set_credentials(1, &credentials("ours"))).expect("there");
    (forwarder.set_credentials(1, &credentials("new"))).expect("there");
    assert_eq!(check(&mut forwarder, home, "ours:peer", true).0, UNKNOWN);
    assert_eq!(check(&mut forwarder, home, "new:peer", true).0, done);
    let taken = forwarder.set_credentials(2, &credentials("new"));
    assert_eq!(taken, Err(ControlError::CredentialsTaken));
    assert_eq!(check(&mut forwarder, home, "new:peer", true).0, done);
    forwarder.remove_participant(1).expect("there");
    assert_eq!(check(&mut forwarder, home, "new:peer", true).0, UNKNOWN);
    assert!(forwarder.checks(START).is_empty());
    let unknown = forwarder.set_credentials(1, &credentials("new"));
    assert_eq!(unknown, Err(ControlError::UnknownParticipant));
    (forwarder.set_credentials(2, &credentials("new"))).expect("free again");
}
