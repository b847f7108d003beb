//! Runs a script: each event at its time, what the stack sends against what it should.

use super::{
    assertions,
    calls::{self, Attempt, Progress},
    host::{Host, Setup},
    lexer::Fault,
    parser,
    script::{Action, Base, Body, Call, Event, Expr, Outcome, Packet, Segment, When},
    shell,
    wire::{self, Flow, Sent},
};
use sockeye::time::{Duration, Instant};

/// Packets shown before a failure.
const CONTEXT: usize = 8;
/// Longest wait for a packet that may come at any time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// The port of a peer that a script does not name.
const PEER_PORT: u16 = 40_000;

/// A call that waits.
struct Pending {
    event: Event,
    call: Call,
    progress: Progress,
    /// When it is to return.
    until: Instant,
}

struct Runner {
    host: Host,
    flows: Vec<Flow>,
    current: Option<usize>,
    pending: Option<Pending>,
    /// When the event before happened.
    last: Instant,
    /// What has happened, as script text.
    trace: Vec<String>,
}

/// Runs the script in `text`; says what went wrong, with the script's line. One that is `foreign` was written for the
/// kernel: its device takes frames of many segments, and time stamps count only where it says how.
pub fn run(text: &str, foreign: bool) -> Result<(), Fault> {
    let script = parser::parse(text)?;
    let tso = foreign && !text.contains("tso off");
    let mut setup = Setup { tso, foreign, ..Setup::default() };
    if foreign {
        setup.stamp_tolerance = None;
    }
    for (line, name, value) in &script.options {
        configure(&mut setup, name, value).map_err(|what| Fault { line: *line, what })?;
    }
    let host = Host::new(setup);
    let last = host.now;
    let mut runner = Runner { host, flows: Vec::new(), current: None, pending: None, last, trace: Vec::new() };
    runner.host.is_checked = !script.events.iter().any(has_own_data);
    for event in &script.events {
        runner.event(event).map_err(|what| runner.fault(event.line, &what))?;
    }
    let line = script.events.last().map_or(1, |event| event.line);
    runner.end().map_err(|what| runner.fault(line, &what))
}

/// Urgent data and texts are not at the positions of the pattern.
fn has_own_data(event: &Event) -> bool {
    match &event.action {
        Action::Call(call) => {
            let is_text = call.args.iter().any(|arg| matches!(arg, Expr::Text(_)));
            let moves = ["read", "recv", "recvfrom", "write", "send", "sendto"].contains(&call.name.as_str());
            moves && is_text
                || call.args.iter().any(|arg| matches!(arg, Expr::Int(_, text) if text.contains("MSG_OOB")))
        }
        Action::Inbound(Packet { body: Body::Tcp(segment), .. }) => segment.flags & 32 != 0,
        _ => false,
    }
}

fn configure(setup: &mut Setup, name: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<u64>().map_err(|_| format!("--{name}: `{value}` is no number"));
    let addr = || value.parse().map_err(|_| format!("--{name}: `{value}` is no address"));
    match (name, value) {
        ("ip_version", "ipv4") => {}
        ("local_ip", _) => setup.ends.local = addr()?,
        ("remote_ip", _) => setup.ends.remote = addr()?,
        ("gateway_ip", _) => setup.ends.gateway = addr()?,
        ("netmask_ip", _) => setup.prefix = u32::from(addr()?).leading_ones() as u8,
        ("mtu", _) => setup.mtu = u32::try_from(number()?).map_err(|_| "the MTU is too large")?,
        ("bind_port", _) => setup.bind_port = u16::try_from(number()?).map_err(|_| "the port is too large")?,
        ("connect_port", _) => setup.connect_port = u16::try_from(number()?).map_err(|_| "the port is too large")?,
        ("tolerance_usecs", _) => {
            setup.tolerance = Duration::from_micros(number()?);
            let ticks = setup.tolerance.as_millis() as u32;
            setup.stamp_tolerance = setup.stamp_tolerance.map(|least| least.max(ticks));
        }
        // The clock of time stamps ticks in milliseconds.
        ("tcp_ts_tick_usecs", "1000") => {
            setup.stamp_tolerance = Some(1.max(setup.tolerance.as_millis() as u32));
        }
        ("tcp_ts_tick_usecs", "0") => setup.stamp_tolerance = None,
        ("tso", "on") => setup.tso = true,
        ("mss", _) => setup.segment = u16::try_from(number()?).map_err(|_| "the segments are too large")?,
        _ => return Err(format!("the option --{name}={value} is not known")),
    }
    Ok(())
}

/// What is expected above what is there.
fn side_by_side(what: &str, expected: &str, actual: &str) -> String {
    format!("{what}\n  expected  {expected}\n  actual    {actual}")
}

impl Runner {
    /// A failure with the packets before it.
    fn fault(&self, line: usize, what: &str) -> Fault {
        let from = self.trace.len().saturating_sub(CONTEXT);
        let before = if from > 0 { "  ...\n" } else { "" };
        let context: String = self.trace[from..].iter().map(|event| format!("  before    {event}\n")).collect();
        Fault { line, what: format!("{what}\n{before}{}", context.trim_end()).trim_end().to_owned() }
    }

    fn note(&mut self, at: Instant, what: &str) {
        let seconds = self.host.seconds(at);
        self.trace.push(format!("{seconds:.6} {what}"));
    }

    fn base(&self, when: &When) -> Instant {
        if when.base == Base::Start { self.host.start } else { self.last }
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        let at = after(self.base(&event.when), event.when.from);
        if let Action::Outbound(packet) = &event.action {
            return self.expect(event, packet);
        }
        if at < self.host.now && self.host.now.since(at) > self.host.setup.tolerance {
            return Err(format!("its time has passed: it is {:.6} already", self.host.seconds(self.host.now)));
        }
        self.advance(at)?;
        let now = self.host.now;
        match &event.action {
            Action::Call(call) => self.call(event, call)?,
            Action::Inbound(packet) => self.inject(packet)?,
            Action::Command(command) => shell::run(&mut self.host, command)?,
            Action::Code(code) => self.assert(code)?,
            Action::Outbound(_) => {}
        }
        self.last = now;
        self.poll_pending()
    }

    // ---- time ----

    /// Lets everything happen that happens until `at`.
    fn advance(&mut self, at: Instant) -> Result<(), String> {
        while self.step(at)? {}
        self.host.now = self.host.now.max(at);
        self.poll_pending()
    }

    /// The next timer, of the stack or of a call that waits, if it is due by `limit`.
    fn step(&mut self, limit: Instant) -> Result<bool, String> {
        self.host.pump();
        let tolerance = self.host.setup.tolerance;
        let call = self.pending.as_ref().map(|pending| {
            let late = pending.until + tolerance + Duration::from_nanos(1);
            if pending.progress.expired { late } else { pending.progress.deadline.unwrap_or(late).min(late) }
        });
        let stepped = match call {
            Some(at) if at <= limit && self.host.stack.next_deadline().is_none_or(|next| at < next) => {
                self.host.now = self.host.now.max(at);
                true
            }
            _ => self.host.step(limit),
        };
        self.poll_pending()?;
        Ok(stepped)
    }

    // ---- calls ----

    fn call(&mut self, event: &Event, call: &Call) -> Result<(), String> {
        if let Some(pending) = &self.pending {
            return Err(format!("the call of line {} still waits", pending.event.line));
        }
        let mut progress = Progress::default();
        let attempt = calls::attempt(&mut self.host, call, &mut progress)?;
        let now = self.host.now;
        let until = event.when.until.map(|until| after(self.base(&event.when), until));
        match (attempt, until) {
            (Attempt::Done(result, args), None) => self.judge_call(event, call, result, args),
            (Attempt::Done(result, args), Some(until)) => {
                self.judge_call(event, call, result, args)?;
                self.in_time(now, until)
            }
            (Attempt::Waits, None) => Err(side_by_side("the call does not return", &event.text, "it waits")),
            (Attempt::Waits, Some(until)) => {
                self.note(now, &format!("{}(...) waits", call.name));
                self.pending = Some(Pending { event: event.clone(), call: call.clone(), progress, until });
                Ok(())
            }
        }
    }

    /// A call that waits is tried again.
    fn poll_pending(&mut self) -> Result<(), String> {
        self.host.pump();
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        let now = self.host.now;
        pending.progress.expired |= pending.progress.deadline.is_some_and(|deadline| deadline <= now);
        match calls::attempt(&mut self.host, &pending.call, &mut pending.progress)? {
            Attempt::Done(result, args) => {
                let Pending { event, call, until, .. } = pending;
                let of_line = |what| format!("the call of line {}: {what}", event.line);
                self.judge_call(&event, &call, result, args).map_err(of_line)?;
                self.in_time(now, until).map_err(of_line)
            }
            Attempt::Waits if now > pending.until + self.host.setup.tolerance => {
                let what = format!("the call of line {} does not return in time", pending.event.line);
                Err(side_by_side(
                    &what,
                    &pending.event.text,
                    &format!("it still waits at {:.6}", self.host.seconds(now)),
                ))
            }
            Attempt::Waits => {
                self.pending = Some(pending);
                Ok(())
            }
        }
    }

    fn judge_call(&mut self, event: &Event, call: &Call, result: Outcome, args: Vec<Expr>) -> Result<(), String> {
        let actual = Call { name: call.name.clone(), args, result };
        let returned = call.result == Outcome::Any || call.result == actual.result;
        let args = call.args.iter().zip(&actual.args).all(|(expected, actual)| expected.admits(actual));
        self.note(self.host.now, &actual.to_string());
        if returned && args {
            Ok(())
        } else {
            Err(side_by_side("the call ends otherwise", &event.text, &actual.to_string()))
        }
    }

    fn in_time(&self, at: Instant, until: Instant) -> Result<(), String> {
        let tolerance = self.host.setup.tolerance;
        if at + tolerance >= until && at <= until + tolerance {
            return Ok(());
        }
        let (until, at) = (self.host.seconds(until), self.host.seconds(at));
        Err(side_by_side("the call returns at another time", &format!("{until:.6}"), &format!("{at:.6}")))
    }

    fn assert(&mut self, code: &str) -> Result<(), String> {
        let flow = self.current.map(|current| &self.flows[current]);
        let socket = flow.and_then(|flow| self.host.socket_of(flow.local_port, flow.remote_port));
        let socket = socket.or(self.host.latest);
        let socket = socket.ok_or("there is no connection whose TCP_INFO could be read")?;
        let info = self.host.stack.tcp_info(socket, self.host.now).map_err(|error| error.to_string())?;
        assertions::run(code, &info, &mut self.host.names)
    }

    // ---- packets to the stack ----

    fn inject(&mut self, packet: &Packet) -> Result<(), String> {
        let ends = self.host.setup.ends;
        let bytes = match &packet.body {
            Body::Tcp(segment) => {
                let flow = self.flow_from_peer(packet.ports);
                wire::segment(packet, segment, &mut self.flows[flow], &ends)?
            }
            Body::Icmp(icmp) => {
                let flow = self.current.ok_or("there is no connection that the message could be about")?;
                wire::icmp(packet, icmp, &self.flows[flow], &ends)
            }
            Body::Udp(len) => {
                let usual = (self.host.setup.connect_port, self.host.setup.bind_port);
                wire::udp(packet, *len, packet.ports.unwrap_or(usual), &ends)
            }
        };
        let now = self.host.now;
        self.note(now, &format!("< {packet}"));
        self.host.receive(&bytes);
        Ok(())
    }

    /// The connection a segment from the peer belongs to: that of its ports, or of the packet before.
    fn flow_from_peer(&mut self, ports: Option<(u16, u16)>) -> usize {
        let (remote, local) = match (ports, self.current) {
            (None, Some(current)) => return current,
            (None, None) => (PEER_PORT, self.host.setup.bind_port),
            (Some(ports), _) => ports,
        };
        let flow = self.flow(local, remote);
        self.current = Some(flow);
        flow
    }

    fn flow(&mut self, local_port: u16, remote_port: u16) -> usize {
        let known = self.flows.iter().position(|flow| (flow.local_port, flow.remote_port) == (local_port, remote_port));
        known.unwrap_or_else(|| {
            self.flows.push(Flow::new(local_port, remote_port));
            self.flows.len() - 1
        })
    }

    // ---- packets from the stack ----

    fn expect(&mut self, event: &Event, expected: &Packet) -> Result<(), String> {
        let tolerance = self.host.setup.tolerance;
        let base = self.base(&event.when);
        let (from, to) = match event.when.base {
            Base::Any => (self.last, self.host.now + PATIENCE),
            _ => (after(base, event.when.from), after(base, event.when.to)),
        };
        let limit = to + tolerance;
        while self.host.sent.is_empty() && self.step(limit)? {}
        let Some((at, bytes)) = self.host.sent.pop_front() else {
            self.advance(limit)?;
            return Err(side_by_side("the stack does not send", &event.text, "nothing"));
        };
        self.last = at;
        let sent = self.whole(Sent::parse(&bytes)?, expected, limit)?;
        let actual = self.identify(sent, expected)?;
        self.note(at, &format!("> {actual}"));
        let is_right = actual == *expected;
        let in_time = event.when.base == Base::Any || at + tolerance >= from && at <= limit;
        if is_right && in_time {
            return Ok(());
        }
        let span = if from == to || event.when.base == Base::Any {
            format!("{:.6}", self.host.seconds(from))
        } else {
            format!("{:.6}~{:.6}", self.host.seconds(from), self.host.seconds(to))
        };
        let what = match (is_right, in_time) {
            (false, _) => "the stack sends something else",
            (true, _) if at < from => "the stack sends too early",
            (true, _) => "the stack sends too late",
        };
        let span = if event.when.base == Base::Any { "*".to_owned() } else { span };
        let width = span.len();
        let actual_at = format!("{:.6}", self.host.seconds(at));
        Err(side_by_side(what, &format!("{span} > {expected}"), &format!("{actual_at:<width$} > {actual}")))
    }

    /// The packet with those behind it that make up the expected one: a device that splits would have got them as one.
    fn whole(&mut self, mut sent: Sent, expected: &Packet, limit: Instant) -> Result<Sent, String> {
        let Body::Tcp(segment) = &expected.body else { return Ok(sent) };
        while !sent.payload.is_empty() && sent.payload.len() < segment.len as usize {
            while self.host.sent.is_empty() && self.step(limit)? {}
            let Some((_, bytes)) = self.host.sent.front() else { break };
            if sent.join(Sent::parse(bytes)?).is_err() {
                break;
            }
            self.host.sent.pop_front();
        }
        Ok(sent)
    }

    /// A packet of the stack in the words of the expected one.
    fn identify(&mut self, sent: Sent, expected: &Packet) -> Result<Packet, String> {
        if !sent.is_tcp() {
            return Ok(sent.describe(None, Some((expected, None))));
        }
        let known = self.flows.len();
        let index = self.flow(sent.ports.0, sent.ports.1);
        let is_new = index >= known;
        if sent.is_syn() && std::mem::take(&mut self.host.is_connecting) && !is_new {
            self.flows[index].restart();
        }
        let is_other = self.current.is_some_and(|current| current != index) && !(is_new && sent.is_syn());
        if expected.ports.is_none() && is_other {
            // Of another connection than the script thinks: its ports show that.
            return Ok(sent.describe(Some(&self.flows[index]), None));
        }
        self.current = Some(index);
        if let Body::Tcp(segment @ Segment { .. }) = &expected.body {
            sent.learn(&mut self.flows[index], segment);
        }
        if self.host.is_checked
            && let Some(position) = sent.misplaced(&self.flows[index])
        {
            return Err(format!(
                "byte {position} of the stream is not the one written: > {}",
                sent.describe(Some(&self.flows[index]), None)
            ));
        }
        Ok(sent.describe(Some(&self.flows[index]), Some((expected, self.host.setup.stamp_tolerance))))
    }

    /// Nothing is left: no call that waits, no packet the script does not know of.
    fn end(&mut self) -> Result<(), String> {
        while let Some(pending) = &self.pending {
            let limit = pending.until + self.host.setup.tolerance + Duration::from_nanos(1);
            self.advance(limit)?;
        }
        self.host.pump();
        // Where scripts say which packets they look at, the others do not matter.
        let Some((at, bytes)) = self.host.sent.pop_front().filter(|_| !self.host.setup.foreign) else { return Ok(()) };
        let sent = Sent::parse(&bytes)?;
        let flow = self.flows.iter().find(|flow| (flow.local_port, flow.remote_port) == sent.ports);
        let actual = format!("{:.6} > {}", self.host.seconds(at), sent.describe(flow, None));
        Err(side_by_side("the script is over, but the stack sends", "nothing", &actual))
    }
}

/// `nanos` after `at`.
fn after(at: Instant, nanos: i64) -> Instant {
    at + Duration::from_nanos(nanos.unsigned_abs())
}
