//! Names of stacks that other users have taken, and nobody answers for.

use super::{NOBODY, Place, Running};
use std::time::{Duration, Instant};

/// Takes a hundred names as a host has, and one that is no text, and one that a terminal would obey.
const TAKES: &str = "
import socket
names = [b'x%03d' % n for n in range(100)] + [b'\\xff\\xfe', b'a\\x1b[2Jb']
taken = []
for name in names:
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.bind(b'\\0sockeye/' + name + b'/ctl')
    s.listen(5)
    taken.append(s)
print('taken', flush=True)
input()
";

/// A stranger with such names.
fn stranger(place: &Place) -> Running {
    use std::process::Stdio;
    let mut words = super::command(NOBODY, &[]);
    words.args(["/usr/bin/python3", "-c", TAKES]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running::new(place.0.inside(|| words.spawn()).expect("it starts"));
    assert_eq!(running.line(), "taken\n");
    running
}

#[test]
fn names_that_nobody_answers_for_cost_a_second_and_a_line() {
    let place = Place::bare();
    let mut holder = place.start("@sockeye run --net null: -- @hold", &[]);
    assert_eq!(holder.line(), "up\n");
    let _stranger = stranger(&place);
    let ordinary = "setpriv --reuid 65533 --regid 65533 --clear-groups";
    for (words, row) in [("ls -H", "null "), ("ss -Ha", "null "), ("nstat -az", "#null\n")] {
        let begun = Instant::now();
        let (code, out, err) = place.ends(&format!("@sockeye {words}"), &[]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{words}: {:?}", begun.elapsed());
        assert_eq!((code, err.lines().count()), (Some(0), 1), "{words}: {err}");
        assert!(words.starts_with("ss") || out.starts_with(row), "{words}: {out}");
        assert!(err.starts_with("sockeye: stacks x000, x001, x002 and 97 more: "), "{words}: {err}");
        // Nobody else would be shown them if they were hosts.
        let begun = Instant::now();
        let (code, _, err) = place.ends(&format!("{ordinary} @sockeye {words}"), &[]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{words}: {:?}", begun.elapsed());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{words}");
    }
    // The one stack that there is need not be named.
    let (code, out, err) = place.ends("@sockeye stop", &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("null: stopped; "), "{out}");
}
