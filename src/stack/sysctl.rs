//! What an administrator sets by sysctl(8): Linux's `net.ipv4.tcp_*` with their names and values as text
//! (Documentation/networking/ip-sysctl.rst). Numbers that only the protocol looks at are [`Knobs`]; others are what new
//! sockets begin with, or the stack's own.

use super::{Stack, sockets::Body};
use crate::{
    tcp::{KnobError, Knobs, Settings, congestion::NAMES},
    time::Duration,
};

type Result<T> = std::result::Result<T, KnobError>;

/// The numbers of a value; in hexadecimal behind `0x`.
fn numbers(value: &str) -> Result<Vec<u64>> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    let parts = value.split([' ', ',', '\t']).filter(|part| !part.is_empty());
    parts.map(|part| number(part).map_err(|_| KnobError::OutOfRange)).collect()
}

/// The only number of a value.
fn number(value: &str) -> Result<u32> {
    match numbers(value)?.as_slice() {
        [number] => u32::try_from(*number).map_err(|_| KnobError::OutOfRange),
        _ => Err(KnobError::OutOfRange),
    }
}

fn seconds(value: &str) -> Result<Duration> {
    number(value).map(|seconds| Duration::from_secs(seconds.into()))
}

/// `value` becomes `now`, if it is still what it was before.
fn follow<T: PartialEq>(value: &mut T, before: T, now: T) {
    if *value == before {
        *value = now;
    }
}

impl Stack {
    /// Sets what is called `name`, with or without `net.ipv4.` in front. Sockets opened from then on, and connections
    /// that begin then, have it so; what Linux looks up when it needs it, those that are open have, too.
    ///
    /// # Errors
    /// [`KnobError`]; nothing has changed then.
    pub fn sysctl(&mut self, name: &str, value: &str) -> Result<()> {
        let before = self.defaults.clone();
        self.set(name, value)?;
        self.hand_on(&before);
        Ok(())
    }

    /// Everything is as `settings`, names and values, say, and else as if nothing had ever been set, but for the keys
    /// of Fast Open. What [`Stack::sysctl`] would refuse is passed over.
    pub fn replace_sysctl<'a>(&mut self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let before = std::mem::take(&mut self.defaults);
        *self.knobs_mut() = Knobs::default();
        for (name, value) in settings {
            // Passed over, as said.
            let _ = self.set(name, value);
        }
        self.hand_on(&before);
    }

    /// Sockets follow in what they were not told themselves. Linux looks these up when it needs them, and the
    /// congestion control when a listener accepts (tcp_ca_openreq_child).
    fn hand_on(&mut self, before: &Settings) {
        let Self { sockets, defaults, .. } = self;
        for entry in sockets.iter_mut() {
            let settings = match &mut entry.body {
                Body::Idle(settings) => settings,
                Body::Listener(listener) => {
                    follow(&mut listener.settings.congestion, before.congestion, defaults.congestion);
                    &mut listener.settings
                }
                Body::Connection(connection) => &mut connection.settings,
                Body::Datagram(_) => continue,
            };
            follow(&mut settings.keep_idle, before.keep_idle, defaults.keep_idle);
            follow(&mut settings.keep_interval, before.keep_interval, defaults.keep_interval);
            follow(&mut settings.keep_count, before.keep_count, defaults.keep_count);
            follow(&mut settings.fin_timeout, before.fin_timeout, defaults.fin_timeout);
            follow(&mut settings.send_buffer, before.send_buffer, defaults.send_buffer);
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.strip_prefix("net.ipv4.").unwrap_or(name);
        let value = value.trim();
        if name == "tcp_fastopen_key" {
            return self.set_fast_open_keys(value);
        }
        let new = &mut self.defaults;
        match name {
            "tcp_keepalive_time" => new.keep_idle = seconds(value)?,
            "tcp_keepalive_intvl" => new.keep_interval = seconds(value)?,
            "tcp_keepalive_probes" => new.keep_count = number(value)?,
            "tcp_rmem" | "tcp_wmem" => {
                let sizes: Option<Vec<_>> = numbers(value)?.into_iter().map(|size| u32::try_from(size).ok()).collect();
                let sizes = sizes.and_then(|sizes| <[u32; 3]>::try_from(sizes).ok()).ok_or(KnobError::OutOfRange)?;
                return self.knobs_mut().set_sizes(name, sizes);
            }
            "tcp_congestion_control" => {
                new.congestion = NAMES.iter().find(|known| **known == value).ok_or(KnobError::OutOfRange)?;
            }
            _ => return self.knobs_mut().set(name, number(value)?),
        }
        Ok(())
    }

    /// What sockets opened from now on begin with.
    pub fn defaults_mut(&mut self) -> &mut Settings {
        &mut self.defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rng::SeededRng,
        stack::{Config, Family, Protocol, config::Kind},
        tcp::congestion::DEFAULT,
        time::Instant,
    };

    fn stack() -> Stack {
        Stack::new(&Config::new(Kind::Null, "lo"), None, Box::new(SeededRng::new([1, 1])), Instant::ZERO)
    }

    #[test]
    fn what_is_set_holds_for_sockets_opened_then() {
        let mut stack = stack();
        let values = [
            ("tcp_syn_retries", "3"),
            ("net.ipv4.tcp_keepalive_time", "10"),
            ("tcp_rmem", "4096 131072 6291456"),
            ("tcp_fastopen", "0x402"),
            ("tcp_fastopen_key", "1-2-3-4"),
            ("tcp_congestion_control", "reno"),
        ];
        values.iter().for_each(|(name, value)| assert_eq!(stack.sysctl(name, value), Ok(()), "{name}"));
        let after = stack.open(Family::V4, Protocol::Tcp).unwrap();
        let settings = stack.tcp_settings(after).unwrap();
        assert_eq!((settings.keep_idle.as_secs(), settings.congestion), (10, "reno"));
        assert_eq!((stack.knobs_mut().syn_retries, stack.knobs_mut().rmem.most), (3, 6_291_456));
        assert_eq!(stack.knobs_mut().fastopen, 0x402);
        stack.replace_sysctl([("tcp_syn_retries", "4"), ("tcp_colour", "1")]);
        assert_eq!(*stack.knobs_mut(), Knobs { syn_retries: 4, ..Knobs::default() });
    }

    #[test]
    fn open_sockets_follow_in_what_they_were_not_told() {
        let mut stack = stack();
        let [plain, told, listener] = [(); 3].map(|()| stack.open(Family::V4, Protocol::Tcp).unwrap());
        stack.tcp_settings(told).unwrap().keep_idle = Duration::from_secs(5);
        stack.listen(listener, 1, Instant::ZERO).unwrap();
        stack.replace_sysctl([("tcp_keepalive_time", "10"), ("tcp_congestion_control", "reno")]);
        let found = [plain, told, listener].map(|id| {
            let settings = stack.tcp_settings(id).unwrap();
            (settings.keep_idle.as_secs(), settings.congestion)
        });
        assert_eq!(found, [(10, DEFAULT), (5, DEFAULT), (10, "reno")]);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let mut stack = stack();
        let mut refused = |name, value, error| assert_eq!(stack.sysctl(name, value), Err(error), "{name}={value}");
        for (name, value) in
            [("tcp_syn_retries", "many"), ("tcp_rmem", "1 2"), ("tcp_ecn", "77"), ("tcp_fastopen_key", "1")]
        {
            refused(name, value, KnobError::OutOfRange);
        }
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        assert_eq!(stack().sysctl("tcp_colour", "1"), Err(KnobError::Unknown));
    }
}
