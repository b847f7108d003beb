//! Commands between backticks, as a shell would run them: what they set is set on the stack, what they ask for is
//! asked.

use super::host::Host;
use sockeye::tcp::knobs::KnobError;

/// What Linux's own collection of scripts sets before each of them (`defaults.sh`), where it is not our default.
const DEFAULTS: [&str; 8] = [
    "tcp_rmem=4096,540000,15728640",
    "tcp_wmem=4096,262144,4194304",
    "tcp_syn_retries=5",
    "tcp_congestion_control=cubic",
    "tcp_ecn=0",
    "tcp_fastopen=3",
    "tcp_fastopen_key=a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
    "tcp_slow_start_after_idle=0",
];
/// Settings of Linux that the stack always has at this value.
const FIXED: [&str; 9] = [
    "tcp_dsack=1",
    "tcp_fack=0",
    "tcp_frto=2",
    "tcp_reordering=3",
    "tcp_recovery=1",
    "tcp_no_metrics_save=1",
    "tcp_shrink_window=0",
    "tcp_thin_linear_timeouts=0",
    "tcp_fastopen_blackhole_timeout_sec=0",
];

/// Runs a command of one or more lines.
pub fn run(host: &mut Host, command: &str) -> Result<(), String> {
    let command = command.replace("\\\n", " ");
    for statement in command.lines().flat_map(|line| line.split(';')) {
        let statement = statement.split("2>/dev/null").next().unwrap_or_default().trim();
        if statement.is_empty() || statement.starts_with('#') {
            continue;
        }
        run_one(host, statement).map_err(|why| format!("`{statement}`: {why}"))?;
    }
    Ok(())
}

fn run_one(host: &mut Host, statement: &str) -> Result<(), String> {
    if statement.starts_with("nstat") {
        return counters(host, statement);
    }
    let words = words(statement)?;
    let Some((program, args)) = words.split_first() else { return Ok(()) };
    let program = program.rsplit('/').next().unwrap_or_default();
    match program {
        "sysctl" => args.iter().filter(|word| !word.starts_with('-')).try_for_each(|word| sysctl(host, word)),
        "defaults.sh" => DEFAULTS.iter().try_for_each(|word| sysctl(host, word)),
        "set_sysctls.py" => args.iter().try_for_each(|word| sysctl(host, word.trim_start_matches("/proc/sys/"))),
        "ip" if args.join(" ").starts_with("tcp_metrics flush all") => {
            host.stack.forget_servers();
            Ok(())
        }
        // The end of the stack puts everything back.
        _ if program.starts_with("sysctl_restore_") => Ok(()),
        // The queue that paces: the stack does that itself once a rate is asked for.
        "tc" if args.last().is_some_and(|kind| kind == "fq") => {
            host.stack.defaults_mut().max_pacing_rate = u64::MAX - 1;
            Ok(())
        }
        // Slow start looks at delays, always.
        "echo" if args.last().is_some_and(|file| file.ends_with("/hystart_detect")) => Ok(()),
        // Before the first packet; the device is made without then.
        "ethtool" if args.iter().any(|word| word == "tso") => Ok(()),
        _ => Err("this command is not known".into()),
    }
}

/// Words as the shell sees them: quotes keep blanks, `$((2*1024))` is a product, `#` begins a comment.
fn words(statement: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut rest = statement;
    while let Some(c) = rest.chars().next() {
        if let Some(product) = rest.strip_prefix("$((") {
            let (factors, behind) = product.split_once("))").ok_or("`$((` has no end")?;
            let product: Option<u64> = factors.split('*').map(|factor| factor.trim().parse::<u64>().ok()).product();
            word += &product.ok_or("only products of numbers are known")?.to_string();
            rest = behind;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' => break,
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// `nstat | grep TcpExtNAME | grep -q " 3 "`: whether a counter has moved so far since `nstat -n`, or the start.
fn counters(host: &mut Host, statement: &str) -> Result<(), String> {
    let mut greps = statement.split("grep").skip(1);
    let Some(name) = greps.next() else {
        host.counted = host.stack.counters().clone();
        return Ok(());
    };
    let name = name.trim().trim_end_matches('|').trim();
    let number = greps.next().unwrap_or_default().trim().trim_start_matches("-q").trim().trim_matches('"').trim();
    let number: u64 = number.parse().map_err(|_| "a number to look for is missing")?;
    let of = |counters: &sockeye::counters::Counters| {
        counters.iter().find(|(known, _)| known.replace(' ', "") == name).map(|(_, value)| value)
    };
    let now = of(host.stack.counters()).ok_or("there is no counter of this name")?;
    let moved = now - of(&host.counted).unwrap_or(0);
    if moved == number { Ok(()) } else { Err(format!("it is {moved}")) }
}

/// `net.ipv4.tcp_syn_retries=3`: what sockets opened from here on start with.
fn sysctl(host: &mut Host, word: &str) -> Result<(), String> {
    let (name, value) = word.split_once('=').ok_or_else(|| format!("{word} is not NAME=VALUE"))?;
    let name = name.replace('/', ".");
    let name = name.strip_prefix("net.ipv4.").unwrap_or(&name);
    if FIXED.contains(&format!("{name}={value}").as_str()) {
        return Ok(());
    }
    host.stack.sysctl(name, value).map_err(|error| match error {
        KnobError::Unknown => format!("the stack has no knob `{name}`"),
        KnobError::OutOfRange => format!("{value} is out of range for {name}"),
    })
}
