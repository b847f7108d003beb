//! The stack's interfaces, as programs ask for them.

use super::slot::Host;
use crate::{
    addr::Cidr,
    socket::ancillary::interface_index,
    stack::iface::{Adapter, IfaceId, Medium},
};
use sockeye_shim::{
    format::{DATA, Data},
    interface::{ADDRESS, Interface},
    narrow,
};
use std::net::{IpAddr, Ipv4Addr};

/// The loopback's MTU, as Linux has it.
const LOOPBACK_MTU: u32 = 65_536;

impl Host {
    /// All interfaces, the loopback first.
    pub fn interfaces(&self) -> Data {
        let config = self.engine.config();
        let adapter = self.engine.with(|stack, _| stack.adapter());
        let mut out = [0; DATA];
        let used = put_loopback(&mut out);
        let used =
            adapter.map_or(used, |adapter| put_device(&mut out, used, (&config.name, &config.addresses), &adapter));
        Data::of(&out[..used]).unwrap_or(Data::NONE)
    }
}

fn address(cidr: &Cidr) -> Option<[u8; ADDRESS]> {
    // An address of IPv6 is none of this version's stack.
    let IpAddr::V4(v4) = cidr.addr else { return None };
    let mut bytes = [0; ADDRESS];
    bytes[..16].copy_from_slice(&v4.to_ipv6_mapped().octets());
    bytes[16] = cidr.prefix;
    Some(bytes)
}

fn put_loopback(out: &mut [u8; DATA]) -> usize {
    let addresses = [address(&Cidr { addr: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 }).unwrap_or_default()];
    let loopback = Interface {
        index: narrow!(interface_index(IfaceId::LOOPBACK) => u16),
        flags: (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING | libc::IFF_LOWER_UP) as u32,
        mtu: LOOPBACK_MTU,
        hardware: libc::ARPHRD_LOOPBACK,
        ..Interface::new(b"lo", &addresses)
    };
    loopback.put(out, 0)
}

fn put_device(out: &mut [u8; DATA], used: usize, (name, own): (&str, &[Cidr]), adapter: &Adapter) -> usize {
    let addresses: Vec<[u8; ADDRESS]> = own.iter().filter_map(address).collect();
    // What Linux says of such a device.
    let (kind, hardware, mac) = match adapter.medium {
        Medium::Ethernet => (libc::IFF_BROADCAST | libc::IFF_MULTICAST, libc::ARPHRD_ETHER, adapter.mac),
        Medium::Ip => (libc::IFF_POINTOPOINT | libc::IFF_NOARP | libc::IFF_MULTICAST, libc::ARPHRD_NONE, [0; 6]),
    };
    let device = Interface {
        index: narrow!(interface_index(IfaceId::DEVICE) => u16),
        flags: (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOWER_UP | kind).cast_unsigned(),
        mtu: adapter.mtu,
        hardware,
        mac,
        ..Interface::new(name.as_bytes(), &addresses)
    };
    device.put(out, used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_shim::interface::Interfaces;

    #[test]
    fn a_device_is_told_as_linux_tells_of_one_of_its_kind() {
        let own = [("10.97.0.2", 24), ("fd00::2", 64), ("10.98.0.2", 31)];
        let own = own.map(|(addr, prefix)| Cidr { addr: addr.parse().unwrap(), prefix });
        for (medium, hardware, broadcast) in
            [(Medium::Ethernet, libc::ARPHRD_ETHER, Some([10, 97, 0, 255])), (Medium::Ip, libc::ARPHRD_NONE, None)]
        {
            let mut out = [0; DATA];
            let used = put_loopback(&mut out);
            let used = put_device(&mut out, used, ("t0", &own), &Adapter { medium, mtu: 1400, mac: [2; 6] });
            let data = Data::of(&out[..used]).unwrap();
            let all: Vec<_> = Interfaces::of(&data).collect();
            let [loopback, device] = &all[..] else { panic!("{all:?}") };
            assert_eq!((loopback.index, loopback.own().next().map(|own| own.local)), (1, Some([127, 0, 0, 1])));
            assert_eq!((device.text(), device.index, device.mtu, device.hardware), (&b"t0"[..], 2, 1400, hardware));
            let own: Vec<_> = device.own().collect();
            assert_eq!((own.len(), own[0].broadcast, own[1].broadcast), (2, broadcast, None));
            assert_eq!(own[1].mask, [255, 255, 255, 254]);
        }
    }
}
