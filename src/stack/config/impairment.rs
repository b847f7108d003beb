//! What `link=` says: `delay:20ms+loss:1%+seed:7`, or `delay=20ms,loss=1%,seed=7` on a command line.

use super::SpecError;
use crate::time::Duration;
use std::{fmt, str::FromStr};

/// An impaired link (`link=`). Its `Display` is the canonical form within a specification.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    /// One-way delay in each direction.
    pub delay: Duration,
    /// Deviation of the delay, uniform in ±jitter.
    pub jitter: Duration,
    /// Probability that a frame is lost, 0 to 1.
    pub loss: f64,
    /// Probability that a frame overtakes those before it, 0 to 1.
    pub reorder: f64,
    /// Probability that a frame comes twice, 0 to 1.
    pub duplicate: f64,
    /// Probability that one bit of a frame flips, 0 to 1.
    pub corrupt: f64,
    /// Bits per second; 0 is unlimited.
    pub rate: u64,
    /// Bytes that wait for the rate at most before frames are dropped; 0 means the default.
    pub queue: usize,
    /// Seed of the random choices.
    pub seed: u64,
}

/// The default queue is at least this many bytes: some forty full frames.
const LEAST_QUEUE: u128 = 64_000;

pub(super) const KEYS: &str = "delay, jitter, loss, reorder, duplicate, corrupt, rate, queue, seed";

/// Where an impairment is written, and so how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In a network specification: `delay:20ms+loss:1%`.
    Specification,
    /// On a command line or in a variable: `delay=20ms,loss=1%`.
    CommandLine,
}

impl Form {
    /// An example that is written for the command line.
    fn show(self, example: &str) -> String {
        match self {
            Self::CommandLine => example.to_owned(),
            Self::Specification => example.replace('=', ":").replace(',', "+"),
        }
    }
}

impl Impairment {
    /// Reads either form: parts are separated by `,` or `+`, key and value by `=` or `:`.
    ///
    /// # Errors
    /// What is wrong, by the key it concerns, with the right form.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        Self::parse_in("link", Form::CommandLine, text)
    }

    /// As [`Impairment::parse`], of what stands behind the key, option or variable `subject`: errors show examples in
    /// `form`.
    ///
    /// # Errors
    /// As [`Impairment::parse`].
    pub fn parse_in(subject: &'static str, form: Form, text: &str) -> Result<Self, SpecError> {
        let bad = |problem: String| SpecError::new(subject, problem);
        let mut link = Self::default();
        let mut seen = Vec::new();
        if text.is_empty() {
            let example = form.show("delay=20ms,loss=1%,seed=7");
            return Err(bad(format!("is empty; give for example {example}")));
        }
        for part in text.split([',', '+']) {
            let (key, value) = part.split_once(['=', ':']).unwrap_or((part, ""));
            if seen.contains(&key) {
                return Err(bad(format!("{key} is given twice")));
            }
            seen.push(key);
            link.set(form, (part, key, value)).map_err(bad)?;
        }
        link.check(form).map_err(bad)?;
        Ok(link)
    }

    fn set(&mut self, form: Form, (part, key, value): (&str, &str, &str)) -> Result<(), String> {
        let bad = |what: &str| match value {
            "" => format!("{key} has no value; give {what}"),
            _ => format!("{part} is not {what}"),
        };
        let probability = || parse_probability(value).ok_or_else(|| bad("a share, such as 1% or 0.01"));
        let is_bare = || value.parse::<f64>().is_ok_and(|number| (1.0..=100.0).contains(&number));
        if matches!(key, "loss" | "reorder" | "duplicate" | "corrupt") && is_bare() {
            let [percent, share, all] = ["1%", "0.01", "100%"].map(|value| form.show(&format!("{key}={value}")));
            return Err(format!(
                "{part} could be meant in percent or as a share; write {percent} or {share}, and {all} for every frame"
            ));
        }
        match key {
            "delay" => self.delay = parse_duration(value).ok_or_else(|| bad("a time, such as 20ms (us, ms, s)"))?,
            "jitter" => self.jitter = parse_duration(value).ok_or_else(|| bad("a time, such as 2ms (us, ms, s)"))?,
            "loss" => self.loss = probability()?,
            "reorder" => self.reorder = probability()?,
            "duplicate" => self.duplicate = probability()?,
            "corrupt" => self.corrupt = probability()?,
            "rate" => {
                self.rate = parse_scaled(value, &RATES)
                    .filter(|&rate| rate > 0)
                    .ok_or_else(|| bad("a rate, such as 100mbit (bit, kbit, mbit, gbit)"))?;
            }
            "queue" => {
                self.queue = parse_scaled(value, &SIZES)
                    .and_then(|size| usize::try_from(size).ok())
                    .filter(|&size| size > 0)
                    .ok_or_else(|| bad("a size, such as 250kb (b, kb, mb)"))?;
            }
            "seed" => self.seed = value.parse().map_err(|_| bad("a number, such as 7"))?,
            _ => return Err(format!("knows no `{key}`; it takes {KEYS}")),
        }
        Ok(())
    }

    /// Refuses what would have no effect.
    fn check(&self, form: Form) -> Result<(), String> {
        let (problem, example) = if self.jitter > self.delay {
            ("jitter is larger than delay; give a delay at least as large", "delay=20ms,jitter=5ms")
        } else if self.reorder > 0.0 && self.delay.is_zero() {
            ("reorder needs a delay to overtake", "delay=20ms,reorder=1%")
        } else if self.queue > 0 && self.rate == 0 {
            ("queue needs a rate to wait for", "rate=100mbit,queue=250kb")
        } else {
            return Ok(());
        };
        Err(format!("{problem}, such as {}", form.show(example)))
    }

    /// Bytes that may wait for the rate: what was given, else the product of rate and round-trip time.
    pub fn queue_bytes(&self) -> usize {
        if self.queue > 0 {
            return self.queue;
        }
        let product = u128::from(self.rate) * 2 * self.delay.as_nanos() / 8_000_000_000;
        usize::try_from(product.max(LEAST_QUEUE)).unwrap_or(usize::MAX)
    }
}

impl FromStr for Impairment {
    type Err = SpecError;
    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::parse(text)
    }
}

/// Powers of ten of the units of a time, the largest first, in nanoseconds.
const TIMES: [(&str, u32); 4] = [("ms", 6), ("us", 3), ("ns", 0), ("s", 9)];
/// In bits per second.
const RATES: [(&str, u32); 4] = [("gbit", 9), ("mbit", 6), ("kbit", 3), ("bit", 0)];
/// In bytes.
const SIZES: [(&str, u32); 4] = [("mb", 6), ("kb", 3), ("b", 0), ("", 0)];

/// A decimal number with a unit, in the base unit; `None` when it is malformed, too large or not whole there.
fn parse_scaled(text: &str, units: &[(&str, u32)]) -> Option<u64> {
    let (number, power) = units.iter().find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
        return None;
    }
    let missing = power.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    format!("{whole}{fraction}").parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(missing)?)
}

fn parse_duration(text: &str) -> Option<Duration> {
    parse_scaled(text, &TIMES).map(Duration::from_nanos)
}

/// `1%` or `0.01`; the percent sign moves the decimal point, so that both give the same number. Without it nothing from
/// 1 on is taken: who writes 1 means one percent more often than all.
fn parse_probability(text: &str) -> Option<f64> {
    let (number, exponent) = text.strip_suffix('%').map_or((text, ""), |number| (number, "e-2"));
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = if is_plain { format!("{number}{exponent}").parse().ok()? } else { return None };
    let is_share = if exponent.is_empty() { (0.0..1.0).contains(&value) } else { (0.0..=1.0).contains(&value) };
    is_share.then_some(value)
}

/// `value` in the largest unit in which it is whole.
fn scaled(value: u64, units: &[(&str, u32)]) -> String {
    let fits = |power: u32| value.is_multiple_of(10_u64.pow(power));
    let best = units.iter().filter(|(unit, power)| !unit.is_empty() && fits(*power)).max_by_key(|(_, power)| *power);
    best.map_or_else(|| value.to_string(), |(unit, power)| format!("{}{unit}", value / 10_u64.pow(*power)))
}

fn share(value: f64) -> String {
    let mut percents = (0..16).map(|digits| format!("{:.digits$}%", value * 100.0));
    percents.find(|text| parse_probability(text) == Some(value)).unwrap_or_else(|| value.to_string())
}

impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delay, jitter, loss, reorder, duplicate, corrupt, rate, queue, seed } = self;
        let mut parts = Vec::new();
        for (key, time) in [("delay", delay), ("jitter", jitter)] {
            if !time.is_zero() {
                let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                parts.push(format!("{key}:{}", scaled(nanos, &TIMES)));
            }
        }
        for (key, value) in [("loss", loss), ("reorder", reorder), ("duplicate", duplicate), ("corrupt", corrupt)] {
            if *value > 0.0 {
                parts.push(format!("{key}:{}", share(*value)));
            }
        }
        if *rate > 0 {
            parts.push(format!("rate:{}", scaled(*rate, &RATES)));
        }
        if *queue > 0 {
            parts.push(format!("queue:{}", scaled(*queue as u64, &SIZES)));
        }
        if *seed > 0 || parts.is_empty() {
            parts.push(format!("seed:{seed}"));
        }
        f.write_str(&parts.join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_in_both_forms() {
        let text =
            "delay=20ms,jitter=2.5ms,loss=1%,reorder=0.005,duplicate=2%,corrupt=0.1%,rate=100mbit,queue=250kb,seed=7";
        let link = Impairment::parse(text).unwrap();
        let expected = Impairment {
            delay: Duration::from_millis(20),
            jitter: Duration::from_micros(2500),
            loss: 0.01,
            reorder: 0.005,
            duplicate: 0.02,
            corrupt: 0.001,
            rate: 100_000_000,
            queue: 250_000,
            seed: 7,
        };
        assert_eq!(link, expected);
        assert_eq!(Impairment::parse(&text.replace('=', ":").replace(',', "+")).unwrap(), expected);
    }

    #[test]
    fn the_canonical_form_reads_back_as_itself() {
        for (text, canonical) in [
            ("delay=20ms,loss=1%,seed=7", "delay:20ms+loss:1%+seed:7"),
            ("delay=0.5ms,jitter=250us", "delay:500us+jitter:250us"),
            ("delay=1.5s", "delay:1500ms"),
            ("rate=1gbit", "rate:1gbit"),
            ("rate=2.5gbit,queue=1500", "rate:2500mbit+queue:1500b"),
            ("loss=0.07", "loss:7%"),
            ("loss=33.3%", "loss:33.3%"),
            ("loss=100%", "loss:100%"),
            ("loss=0", "seed:0"),
            ("seed=0", "seed:0"),
            ("delay=7ns", "delay:7ns"),
        ] {
            let link = Impairment::parse(text).unwrap();
            assert_eq!(Impairment::parse(&link.to_string()), Ok(link.clone()), "{text}");
            assert_eq!(link.to_string(), canonical);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_right_form() {
        for (text, message) in [
            ("", "link: is empty; give for example delay=20ms,loss=1%,seed=7"),
            ("delay=20", "link: delay=20 is not a time, such as 20ms (us, ms, s)"),
            ("delay", "link: delay has no value; give a time, such as 20ms (us, ms, s)"),
            ("delay=-1ms", "link: delay=-1ms is not a time, such as 20ms (us, ms, s)"),
            ("delay=99999999999s", "link: delay=99999999999s is not a time, such as 20ms (us, ms, s)"),
            ("loss=101%", "link: loss=101% is not a share, such as 1% or 0.01"),
            (
                "loss=1",
                "link: loss=1 could be meant in percent or as a share; write loss=1% or loss=0.01, and loss=100% for every frame",
            ),
            (
                "delay=1ms,reorder=2.5",
                "link: reorder=2.5 could be meant in percent or as a share; write reorder=1% or reorder=0.01, and reorder=100% for every frame",
            ),
            ("loss=NaN", "link: loss=NaN is not a share, such as 1% or 0.01"),
            ("loss=1e-3", "link: loss=1e-3 is not a share, such as 1% or 0.01"),
            ("rate=0bit", "link: rate=0bit is not a rate, such as 100mbit (bit, kbit, mbit, gbit)"),
            ("rate=100", "link: rate=100 is not a rate, such as 100mbit (bit, kbit, mbit, gbit)"),
            ("rate=1mbit,queue=10p", "link: queue=10p is not a size, such as 250kb (b, kb, mb)"),
            ("seed=x", "link: seed=x is not a number, such as 7"),
            ("loss=1%,loss=2%", "link: loss is given twice"),
            ("speed=1", &format!("link: knows no `speed`; it takes {KEYS}")),
            ("queue=1kb", "link: queue needs a rate to wait for, such as rate=100mbit,queue=250kb"),
            ("reorder=1%", "link: reorder needs a delay to overtake, such as delay=20ms,reorder=1%"),
        ] {
            assert_eq!(Impairment::parse(text).unwrap_err().to_string(), message);
        }
        assert!(Impairment::parse("delay=1ms,jitter=2ms").is_err());
    }

    #[test]
    fn what_is_wrong_in_a_specification_is_said_in_its_form() {
        let wrong = |text| Impairment::parse_in("link", Form::Specification, text).unwrap_err().to_string();
        assert_eq!(wrong(""), "link: is empty; give for example delay:20ms+loss:1%+seed:7");
        assert_eq!(wrong("delay:20"), "link: delay:20 is not a time, such as 20ms (us, ms, s)");
        assert!(wrong("loss:2").ends_with("; write loss:1% or loss:0.01, and loss:100% for every frame"));
        assert!(wrong("reorder:1%").ends_with(", such as delay:20ms+reorder:1%"));
        let wrong = |text| Impairment::parse_in("--link", Form::CommandLine, text).unwrap_err().to_string();
        assert_eq!(wrong("seed=x"), "--link: seed=x is not a number, such as 7");
    }

    #[test]
    fn the_default_queue_is_one_bandwidth_delay_product() {
        let queue = |text| Impairment::parse(text).unwrap().queue_bytes();
        assert_eq!(queue("rate=100mbit,delay=10ms"), 250_000);
        assert_eq!(queue("rate=100mbit"), 64_000);
        assert_eq!(queue("rate=100mbit,queue=3kb"), 3_000);
    }
}
