//! Packets: `[ce] 40000 > 8080 P. 1:1001(1000) ack 1 win 257 urg 3 <nop,nop,TS val 10 ecr 20>`, `udp (100)`,
//! `[1:1461(1460)] icmp unreachable frag_needed mtu 1400`.

use super::{
    lexer::{Fault, Kind},
    names,
    parser::Parser,
    script::{ACE, ACK, Body, FLAGS, Icmp, Ip, Packet, SYN, Segment, TcpOption},
};

impl Parser<'_> {
    /// A packet behind its arrow.
    pub fn packet(&mut self, inbound: bool) -> Result<Packet, Fault> {
        let mut ip = Ip::default();
        let mut quote = None;
        while self.take_sign('[') {
            if matches!(self.peek(), Kind::Int(_)) {
                quote = Some(self.range()?);
            } else {
                self.ip_words(&mut ip)?;
            }
            self.sign(']')?;
        }
        let ports = match (self.peek(), self.peek_second()) {
            (Kind::Int(_), Kind::Sign('>')) => {
                let src = self.number("a port")?;
                self.sign('>')?;
                Some((src, self.number("a port")?))
            }
            _ => None,
        };
        let body = if self.take_word("icmp") {
            Body::Icmp(self.icmp(quote)?)
        } else if quote.is_some() {
            return self.fault("only ICMP quotes segments");
        } else if self.take_word("udp") {
            self.sign('(')?;
            let len = self.number("a length")?;
            self.sign(')')?;
            Body::Udp(len)
        } else {
            Body::Tcp(self.segment(inbound)?)
        };
        Ok(Packet { ip, ports, body })
    }

    fn ip_words(&mut self, ip: &mut Ip) -> Result<(), Fault> {
        loop {
            match self.word("a word about the IP header")?.as_str() {
                "noecn" => ip.ecn = Some(0),
                "ect1" => ip.ecn = Some(1),
                "ect0" => ip.ecn = Some(2),
                "ce" => ip.ecn = Some(3),
                "tos" => ip.tos = Some(self.number("a type of service")?),
                "ttl" => ip.ttl = Some(self.number("a time to live")?),
                word => return self.fault(format!("`{word}` says nothing about an IP header")),
            }
            if !self.take_sign(',') {
                break;
            }
        }
        if ip.tos.is_some() && ip.ecn.is_some() {
            return self.fault("the type of service has the mark in it");
        }
        Ok(())
    }

    /// `1:1001(1000)` as first byte and length.
    fn range(&mut self) -> Result<(u32, u32), Fault> {
        let seq: u32 = self.number("a sequence number")?;
        self.sign(':')?;
        let end: u32 = self.number("a sequence number")?;
        self.sign('(')?;
        let len: u32 = self.number("a length")?;
        self.sign(')')?;
        if seq.wrapping_add(len) != end {
            return self.fault(format!("{seq}:{end} are not {len} bytes"));
        }
        if len > 65_495 {
            return self.fault(format!("no packet has {len} bytes"));
        }
        Ok((seq, len))
    }

    fn icmp(&mut self, quote: Option<(u32, u32)>) -> Result<Icmp, Fault> {
        let kind = self.word("a type of ICMP message")?;
        if !names::is_icmp_type(&kind) {
            return self.fault(format!("no ICMP message is called `{kind}`"));
        }
        let code = match self.peek().clone() {
            Kind::Word(word) if names::icmp(&kind, Some(&word)).is_some() => {
                self.next();
                Some(word)
            }
            _ => None,
        };
        let Some((kind, code)) = names::icmp(&kind, code.as_deref()) else {
            return self.fault(format!("an ICMP message of type `{kind}` needs a code"));
        };
        let mtu = if self.take_word("mtu") { Some(self.number("an MTU")?) } else { None };
        Ok(Icmp { kind, code, mtu, quote })
    }

    fn segment(&mut self, inbound: bool) -> Result<Segment, Fault> {
        let flags = self.flags()?;
        let (seq, len) = self.range()?;
        let ack = if self.take_word("ack") { Some(self.number("an acknowledgement")?) } else { None };
        let win = if self.take_word("win") { Some(self.number("a window")?) } else { None };
        let urg = if self.take_word("urg") { Some(self.number("an urgent pointer")?) } else { None };
        let options = self.options(flags & SYN != 0)?;
        if ack.is_some() != (flags & ACK != 0) {
            return self.fault("an acknowledgement and the flag `.` go together");
        }
        if inbound {
            if win.is_none() {
                return self.fault("a packet to the stack needs a window");
            }
            let Some(options) = &options else { return self.fault("a packet to the stack needs its options") };
            let len: usize = options.iter().map(TcpOption::len).sum();
            if !len.is_multiple_of(4) || len > 40 {
                return self.fault(format!("{len} bytes of options: they end on four bytes, 40 at most"));
            }
        }
        Ok(Segment { flags, seq, len, ack, win, urg, options })
    }

    /// Letters with nothing between them.
    fn flags(&mut self) -> Result<u16, Fault> {
        let mut letters = String::new();
        loop {
            let joined = self.is_joined();
            let source = self.source().to_owned();
            match self.next() {
                // `.5`: a dot and a number of Accurate ECN.
                Kind::Decimal(_) if source.starts_with('.') => letters.push_str(&source),
                Kind::Word(word) => letters.push_str(&word),
                Kind::Sign('.') => letters.push('.'),
                Kind::Int(ace @ 0..=7) if !letters.is_empty() => letters.push_str(&ace.to_string()),
                Kind::Sign('-') if letters.is_empty() => return Ok(0),
                other => return self.fault(format!("expected the flags of a segment, found {other}")),
            }
            if !joined {
                break;
            }
        }
        let mut flags = 0;
        for letter in letters.chars() {
            // tcpdump calls CWR `W`, others `C`.
            let letter = if letter == 'C' { 'W' } else { letter };
            if let Some(ace) = letter.to_digit(8) {
                // AE, CWR and ECE as one number, which may be 0.
                if flags & ACE != 0 {
                    return self.fault(format!("`{letters}` has flags of Accurate ECN twice"));
                }
                flags |= (ace as u16) << 6;
                continue;
            }
            let Some((_, bit)) = FLAGS.iter().find(|(known, _)| *known == letter) else {
                return self.fault(format!("`{letters}` are no flags: `{letter}` is none"));
            };
            if flags & bit != 0 {
                return self.fault(format!("`{letters}` has `{letter}` twice"));
            }
            flags |= bit;
        }
        Ok(flags)
    }

    fn options(&mut self, syn: bool) -> Result<Option<Vec<TcpOption>>, Fault> {
        let mut options = Vec::new();
        // A `<` could also begin the next event's packet, but that has a time in front.
        if !self.take_sign('<') {
            return Ok(Some(options));
        }
        if *self.peek() == Kind::Dots {
            self.next();
            self.sign('>')?;
            return Ok(None);
        }
        loop {
            options.push(self.option(syn)?);
            if self.take_sign('>') {
                return Ok(Some(options));
            }
            self.sign(',')?;
        }
    }

    fn option(&mut self, syn: bool) -> Result<TcpOption, Fault> {
        Ok(match self.word("an option")?.as_str() {
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::Eol,
            "mss" => TcpOption::Mss(self.number("an MSS")?),
            "wscale" => TcpOption::Wscale(self.number("a shift count")?),
            "sackOK" => TcpOption::SackOk,
            "sack" => {
                let mut blocks = Vec::new();
                while matches!(self.peek(), Kind::Int(_)) {
                    let start = self.number("the start of a block")?;
                    self.sign(':')?;
                    blocks.push((start, self.number("the end of a block")?));
                }
                TcpOption::Sack(blocks)
            }
            "TS" => {
                if !self.take_word("val") {
                    return self.fault("expected `TS val N ecr N`");
                }
                let val = self.or_any()?;
                if !self.take_word("ecr") {
                    return self.fault("expected `TS val N ecr N`");
                }
                TcpOption::Timestamps(val, self.or_any()?)
            }
            "ECN" => self.accecn()?,
            "FO" => TcpOption::FastOpen(self.hex()?),
            "FOEXP" => TcpOption::FastOpenExp(self.hex()?),
            "opt" => TcpOption::Unknown(self.number("the kind of an option")?, self.hex()?),
            word => {
                let place = if syn { " on a SYN" } else { "" };
                return self.fault(format!("no option{place} is called `{word}`"));
            }
        })
    }

    /// `ECN e1b 1 ceb 0 e0b 1`: the first name says which order it is.
    fn accecn(&mut self) -> Result<TcpOption, Fault> {
        let one_first = self.is_word("e1b");
        let names = if one_first { ["e1b", "ceb", "e0b"] } else { ["e0b", "ceb", "e1b"] };
        let mut counters = Vec::new();
        for name in names {
            if !self.take_word(name) || !matches!(self.peek(), Kind::Int(_)) {
                break;
            }
            counters.push(self.number("a counter")?);
        }
        Ok(TcpOption::AccEcn(one_first, counters))
    }

    fn or_any(&mut self) -> Result<Option<u32>, Fault> {
        if *self.peek() == Kind::Dots {
            self.next();
            return Ok(None);
        }
        self.number("a time stamp").map(Some)
    }

    /// Bytes as pairs of hexadecimal digits, perhaps none. The lexer sees numbers and words in them.
    fn hex(&mut self) -> Result<Vec<u8>, Fault> {
        let mut digits = String::new();
        while matches!(self.peek(), Kind::Int(_) | Kind::Word(_)) {
            digits.push_str(self.source());
            let joined = self.is_joined();
            self.next();
            if !joined {
                break;
            }
        }
        let pairs = digits.as_bytes().chunks(2).map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        pairs.collect::<Option<_>>().map_or_else(|| self.fault(format!("`{digits}` are no bytes")), Ok)
    }
}
