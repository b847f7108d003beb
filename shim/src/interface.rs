//! Interfaces (netdevice(7)): what the host says of them, and what ioctl(2) makes of it.
//!
//! The host answers [`Op::Interfaces`] with all of them, in the order of their indexes, each a head of fixed size and
//! [`ADDRESS`] bytes for each of its addresses.

use crate::{
    Errno, Result,
    address::Address,
    format::{DATA, Data, Op, Reader, Request},
    host::Host,
    narrow,
};

/// IFNAMSIZ: the room for a name, a NUL at its end.
pub const NAME: usize = 16;
/// How many bytes an address has in an answer: those of the address in IPv6 form, and the prefix's length.
pub const ADDRESS: usize = 17;
/// How many bytes stand before the addresses.
const HEAD: usize = NAME + 2 + 4 + 4 + 2 + 6 + 1;

/// An interface, as an answer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Its name, with zeros behind it, at least one.
    pub name: [u8; NAME],
    /// Its index.
    pub index: u16,
    /// IFF_UP and others.
    pub flags: u32,
    /// The largest IP packet, in bytes.
    pub mtu: u32,
    /// ARPHRD_ETHER, ARPHRD_LOOPBACK or ARPHRD_NONE.
    pub hardware: u16,
    /// The link-layer address, or zeros.
    pub mac: [u8; 6],
    /// Its addresses; see [`Interface::own`].
    pub addresses: &'a [[u8; ADDRESS]],
}

/// An address of an interface, of IPv4: all that interfaces have in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The address.
    pub local: [u8; 4],
    /// The network's mask.
    pub mask: [u8; 4],
    /// The network's broadcast address, if the interface and the network have one.
    pub broadcast: Option<[u8; 4]>,
}

impl<'a> Interface<'a> {
    /// An interface of these addresses, IPv4 ones in mapped form.
    pub fn new(name: &[u8], addresses: &'a [[u8; ADDRESS]]) -> Self {
        let mut room = [0; NAME];
        for (to, from) in room[..NAME - 1].iter_mut().zip(name) {
            *to = *from;
        }
        Self { name: room, index: 0, flags: 0, mtu: 0, hardware: 0, mac: [0; 6], addresses }
    }

    /// Writes it behind the `used` bytes that are there, with as many of its addresses as there is room for. Returns
    /// how many bytes are used then.
    pub fn put(&self, out: &mut [u8; DATA], used: usize) -> usize {
        let Some((head, rest)) = out.get_mut(used..).and_then(<[u8]>::split_first_chunk_mut::<HEAD>) else {
            return used;
        };
        let count = self.addresses.len().min(rest.len() / ADDRESS).min(u8::MAX.into());
        head[..16].copy_from_slice(&self.name);
        head[16..18].copy_from_slice(&self.index.to_le_bytes());
        head[18..22].copy_from_slice(&self.flags.to_le_bytes());
        head[22..26].copy_from_slice(&self.mtu.to_le_bytes());
        head[26..28].copy_from_slice(&self.hardware.to_le_bytes());
        head[28..34].copy_from_slice(&self.mac);
        head[34] = u8::try_from(count).unwrap_or(u8::MAX);
        let all = self.addresses[..count].as_flattened();
        rest[..all.len()].copy_from_slice(all);
        used + HEAD + all.len()
    }

    /// Takes the first interface of an answer off it.
    fn take(input: &mut &'a [u8]) -> Option<Self> {
        let (head, rest) = input.split_first_chunk::<HEAD>()?;
        let (addresses, rest) = rest.split_at_checked(usize::from(head[34]) * ADDRESS)?;
        *input = rest;
        let mut head = Reader::of(head);
        let interface = Self {
            name: head.take().ok()?,
            index: head.u16().ok()?,
            flags: head.u32().ok()?,
            mtu: head.u32().ok()?,
            hardware: head.u16().ok()?,
            mac: head.take().ok()?,
            addresses: addresses.as_chunks().0,
        };
        if interface.name[NAME - 1] == 0 { Some(interface) } else { None }
    }

    /// Its name without what is behind it.
    pub fn text(&self) -> &[u8] {
        self.name.split(|&c| c == 0).next().unwrap_or_default()
    }

    /// Its addresses.
    pub fn own(self) -> impl Iterator<Item = Own> + Clone + use<'a> {
        let has_broadcast = self.flags & libc::IFF_BROADCAST as u32 != 0;
        self.addresses.iter().filter_map(move |&[ref ip @ .., prefix]| {
            let local = Address::v6(*ip, 0).to_v4()?;
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
            let all = (u32::from_be_bytes(local) | !mask).to_be_bytes();
            let broadcast = if has_broadcast && prefix < 31 { Some(all) } else { None };
            Some(Own { local, mask: mask.to_be_bytes(), broadcast })
        })
    }
}

/// All interfaces of an answer.
#[derive(Clone)]
pub struct Interfaces<'a>(&'a [u8]);

impl<'a> Interfaces<'a> {
    /// Those in a response's data.
    pub fn of(data: &'a Data) -> Self {
        Self(data.as_bytes())
    }
}

impl<'a> Iterator for Interfaces<'a> {
    type Item = Interface<'a>;

    fn next(&mut self) -> Option<Interface<'a>> {
        Interface::take(&mut self.0)
    }
}

/// Asks for all interfaces.
///
/// # Errors
///
/// ENETDOWN without a host.
pub fn ask(host: &Host<'_>) -> Result<Data> {
    host.ask(&Request::new(Op::Interfaces, host.token)).map(|response| response.data)
}

/// `struct ifreq`: a name, and what depends on the request.
pub type Ifreq = [u8; 40];

/// Whether a request of ioctl(2) is about interfaces, neighbours or routes: of those the kernel's answer would be about
/// its own network.
pub fn is_about_interfaces(request: u64) -> bool {
    const SIOCOUTQNSD: u64 = 0x894b;
    (0x890b..=0x89ff).contains(&request) && request != SIOCOUTQNSD
}

/// A request of ioctl(2) whose argument is a `struct ifreq`.
///
/// # Errors
///
/// As netdevice(7): ENODEV for an interface that is not the stack's, EADDRNOTAVAIL for one without an address. EPERM
/// for what would change one, ENOTTY for what is not served; ENETDOWN without a host.
pub fn request(request: u64, ifreq: &mut Ifreq, host: &Host<'_>) -> Result<()> {
    const NONE: Errno = Errno(libc::ENODEV);
    if !is_served(request) {
        return Err(Errno(if sets(request) { libc::EPERM } else { libc::ENOTTY }));
    }
    let data = ask(host)?;
    let mut all = Interfaces::of(&data);
    if request == libc::SIOCGIFNAME {
        let index = i32::from_ne_bytes([ifreq[16], ifreq[17], ifreq[18], ifreq[19]]);
        let found = all.find(|interface| i32::from(interface.index) == index).ok_or(NONE)?;
        ifreq[..NAME].copy_from_slice(&found.name);
        return Ok(());
    }
    // "eth0:1" is a label of one of the interface's addresses, of which there are none here.
    let mut name = ifreq[..NAME].split(|&c| c == 0).next().unwrap_or_default().split(|&c| c == b':');
    let interface = name.next().unwrap_or_default();
    let found = all.find(|known| known.text() == interface).ok_or(NONE)?;
    if name.next().is_some() && (libc::SIOCGIFADDR..=libc::SIOCGIFNETMASK).contains(&request) {
        return Err(Errno(libc::EADDRNOTAVAIL));
    }
    let value = answer(request, &found)?;
    ifreq[NAME..NAME + value.len()].copy_from_slice(&value);
    Ok(())
}

fn is_served(request: u64) -> bool {
    matches!(
        request,
        libc::SIOCGIFNAME
            | libc::SIOCGIFINDEX
            | libc::SIOCGIFFLAGS
            | libc::SIOCGIFADDR
            | libc::SIOCGIFDSTADDR
            | libc::SIOCGIFBRDADDR
            | libc::SIOCGIFNETMASK
            | libc::SIOCGIFMTU
            | libc::SIOCGIFHWADDR
            | libc::SIOCGIFMETRIC
            | libc::SIOCGIFTXQLEN
            | libc::SIOCGIFMAP
    )
}

/// Whether a request changes an interface, a neighbour or a route: SIOCADDRT to SIOCRTMSG, SIOCSIF... and their like.
fn sets(request: u64) -> bool {
    matches!(request, 0x890b..=0x890d | 0x8911 | 0x8914 | 0x8916 | 0x8918 | 0x891a | 0x891c | 0x891e | 0x8920 | 0x8922
        ..=0x8924 | 0x8930..=0x8932 | 0x8934 | 0x8936 | 0x8937 | 0x8943 | 0x8953 | 0x8955 | 0x8971)
}

/// What stands behind the name in the answer.
fn answer(request: u64, interface: &Interface<'_>) -> Result<[u8; 24]> {
    let mut value = [0; 24];
    let mut put = |bytes: &[u8]| value[..bytes.len()].copy_from_slice(bytes);
    let first = || interface.own().next().ok_or(Errno(libc::EADDRNOTAVAIL));
    match request {
        libc::SIOCGIFINDEX => put(&i32::from(interface.index).to_ne_bytes()),
        // A short in the kernel, too.
        libc::SIOCGIFFLAGS => put(&((interface.flags & 0xffff) as u16).to_ne_bytes()),
        libc::SIOCGIFMTU => put(&interface.mtu.to_ne_bytes()),
        libc::SIOCGIFADDR | libc::SIOCGIFDSTADDR => put(&internet(first()?.local)),
        libc::SIOCGIFBRDADDR => put(&internet(first()?.broadcast.unwrap_or([0; 4]))),
        libc::SIOCGIFNETMASK => put(&internet(first()?.mask)),
        libc::SIOCGIFHWADDR => {
            put(&interface.hardware.to_ne_bytes());
            value[2..8].copy_from_slice(&interface.mac);
        }
        // Metric, queue length and the memory of a card: nothing.
        _ => {}
    }
    Ok(value)
}

/// A `struct sockaddr_in` without a port.
pub fn internet([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    let [low, high] = narrow!(libc::AF_INET => u16).to_ne_bytes();
    [low, high, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// SIOCGIFCONF: gives `put` one entry for each address, until it takes no more.
///
/// # Errors
///
/// ENETDOWN without a host.
pub fn each_address(host: &Host<'_>, mut put: impl FnMut(Ifreq) -> bool) -> Result<()> {
    let data = ask(host)?;
    for interface in Interfaces::of(&data) {
        for own in interface.own() {
            let mut ifreq = [0; 40];
            ifreq[..NAME].copy_from_slice(&interface.name);
            ifreq[NAME..NAME + 16].copy_from_slice(&internet(own.local));
            if !put(ifreq) {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: [u8; ADDRESS] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 97, 0, 2, 24];

    fn answered(addresses: &[[u8; ADDRESS]]) -> Data {
        let loopback = Interface { index: 1, flags: 9, mtu: 65536, hardware: 772, ..Interface::new(b"lo", &[]) };
        let flags = (libc::IFF_UP | libc::IFF_BROADCAST) as u32;
        let device = Interface { index: 2, flags, mac: [2; 6], mtu: 1500, ..Interface::new(b"t0", addresses) };
        let mut out = [0; DATA];
        let used = device.put(&mut out, loopback.put(&mut [0; DATA], 0));
        assert_eq!(loopback.put(&mut out, 0), HEAD);
        Data::of(&out[..used]).expect("it fits")
    }

    #[test]
    fn an_answer_says_what_was_put_in_with_as_many_addresses_as_fit() {
        let data = answered(&[LOCAL]);
        let all: Vec<_> = Interfaces::of(&data).collect();
        assert_eq!((all.len(), all[0].text(), all[1].text()), (2, &b"lo"[..], &b"t0"[..]));
        let own = Own { local: [10, 97, 0, 2], mask: [255, 255, 255, 0], broadcast: Some([10, 97, 0, 255]) };
        assert_eq!((all[1].mtu, all[1].mac, all[1].own().collect::<Vec<_>>()), (1500, [2; 6], vec![own]));
        assert_eq!(Interfaces::of(&answered(&[LOCAL; 40])).last().map(|last| last.own().count()), Some(12));
    }

    #[test]
    fn an_answer_cut_short_has_no_interface_that_is_not_whole() {
        let data = answered(&[LOCAL]);
        for end in 0..data.as_bytes().len() {
            let cut = Data::of(&data.as_bytes()[..end]).expect("it fits");
            assert!(Interfaces::of(&cut).count() < 2, "{end}");
        }
        let strange = Data::of(&[0xff; DATA]).expect("it fits");
        assert_eq!(Interfaces::of(&strange).count(), 0);
    }

    #[test]
    fn requests_are_answered_changes_refused_and_the_rest_not_known() {
        let data = answered(&[LOCAL]);
        let device = Interfaces::of(&data).last().expect("a device");
        assert_eq!(answer(libc::SIOCGIFNETMASK, &device).expect("a mask")[4..8], [255, 255, 255, 0]);
        assert_eq!(answer(libc::SIOCGIFMTU, &device).expect("an MTU")[..4], 1500u32.to_ne_bytes());
        let loopback = Interfaces::of(&data).next().expect("a loopback");
        assert_eq!(answer(libc::SIOCGIFADDR, &loopback), Err(Errno(libc::EADDRNOTAVAIL)));
        assert!(sets(libc::SIOCSIFADDR) && sets(libc::SIOCSIFFLAGS) && sets(libc::SIOCADDRT) && sets(libc::SIOCSIFMTU));
        assert!(!sets(libc::SIOCGIFADDR) && !sets(0x8946) && is_about_interfaces(0x8946));
        assert!(!is_about_interfaces(0x8905) && !is_about_interfaces(0x894b) && !is_about_interfaces(libc::FIONREAD));
    }
}
