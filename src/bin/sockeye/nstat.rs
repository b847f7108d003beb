//! `sockeye nstat`: what running stacks have counted, as nstat(8) prints what the kernel has.

use crate::{Failure, arguments::Nstat, ls, ss};
use sockeye::host::survey::{self, Count, Counters};
use std::fmt::Write;

/// The counts of the stacks that are asked for.
pub fn show(arguments: &Nstat) -> Result<String, Failure> {
    let question = Counters::marking(!arguments.no_update);
    let token = ss::token()?;
    let found = match &arguments.stack {
        Some(name) => {
            let counts = survey::one(name.as_bytes(), token, question);
            vec![(name.clone(), counts.map_err(|trouble| crate::stop::failure(name, &trouble))?)]
        }
        None => ls::answers(survey::all(token, &question)),
    };
    Ok(if arguments.json { json(arguments, &found) } else { table(arguments, &found) })
}

/// What is shown of a stack's counts.
fn wanted(arguments: &Nstat, counts: &[Count]) -> Vec<(String, u64)> {
    let value = |count: &Count| if arguments.ignore { count.value } else { count.value.saturating_sub(count.marked) };
    let shown = counts.iter().map(|count| (count.name.clone(), value(count)));
    shown.filter(|(_, value)| arguments.zeros || *value > 0).collect()
}

fn table(arguments: &Nstat, found: &[(String, Vec<Count>)]) -> String {
    let mut text = String::new();
    for (stack, counts) in found {
        let _ = writeln!(text, "#{stack}");
        for (name, value) in wanted(arguments, counts) {
            let _ = writeln!(text, "{name:<32}{value:<16}{:>6}", "0.0");
        }
    }
    text
}

/// One object for each stack, as nstat has one for the kernel. Names of stacks and counters need no escapes: the former
/// are letters, digits and a few signs (`sockeye run --stack`), the latter are of our table.
fn json(arguments: &Nstat, found: &[(String, Vec<Count>)]) -> String {
    let object = |(stack, counts): &(String, Vec<Count>)| {
        let pairs: Vec<_> =
            wanted(arguments, counts).iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let stack = stack.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{stack}\":{{{}}}", pairs.join(","))
    };
    format!("{{{}}}\n", found.iter().map(object).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Vec<(String, Vec<Count>)> {
        let count = |name: &str, value, marked| Count { name: name.to_owned(), value, marked };
        vec![("t0".to_owned(), vec![count("TcpInSegs", 12, 2), count("TcpOutRsts", 3, 3), count("UdpNoPorts", 0, 0)])]
    }

    fn asked() -> Nstat {
        Nstat { stack: None, ignore: false, zeros: false, no_update: false, json: false }
    }

    #[test]
    fn what_came_since_the_last_time_is_shown_in_the_columns_of_nstat() {
        assert_eq!(table(&asked(), &found()), "#t0\nTcpInSegs                       10                 0.0\n");
    }

    #[test]
    fn all_of_it_and_zeros_are_shown_where_they_are_asked_for() {
        let all = Nstat { ignore: true, zeros: true, ..asked() };
        assert_eq!(table(&all, &found()).lines().count(), 4);
        assert_eq!(json(&all, &found()), "{\"t0\":{\"TcpInSegs\":12,\"TcpOutRsts\":3,\"UdpNoPorts\":0}}\n");
        assert_eq!(json(&asked(), &[]), "{}\n");
    }
}
