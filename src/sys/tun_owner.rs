//! Whose a TAP or TUN device is, as rtnetlink(7) tells: no ioctl does.

use super::netlink::{self, attributes};
use std::io;

// linux/rtnetlink.h, linux/if_link.h
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_TUN_OWNER: u16 = 1;
/// The size of struct ifinfomsg.
const MESSAGE: usize = 16;

/// The user who may open the device besides root; `None` where every user may.
///
/// # Errors
/// ENODEV when there is no such interface; those of [`netlink::ask`].
pub fn owner(name: &str) -> io::Result<Option<u32>> {
    let mut body = vec![0; MESSAGE];
    body.extend(netlink::attribute(IFLA_IFNAME, format!("{name}\0").as_bytes()));
    let request = netlink::request(RTM_GETLINK, netlink::REQUEST | netlink::ACKNOWLEDGE, &body);
    let mut owner = None;
    netlink::ask(libc::NETLINK_ROUTE, &request, |body| owner = read(body))?;
    Ok(owner)
}

fn read(message: &[u8]) -> Option<u32> {
    fn within(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
        attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
    }
    let data = within(within(message.get(MESSAGE..)?, IFLA_LINKINFO)?, IFLA_INFO_DATA)?;
    netlink::long(within(data, IFLA_TUN_OWNER)?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_nobodys_and_what_is_not_there_is_said() {
        assert_eq!(owner("lo").unwrap(), None);
        assert_eq!(owner("no-such-if").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
