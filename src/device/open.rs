//! From a configuration to a device: the kind it names, behind the link it describes, captured where it says.

use super::{
    Device,
    capture::Capture,
    error::{Cause, OpenError},
    impair::Impair,
    tuntap::TunTap,
};
use crate::{
    stack::{Config, Medium, config::Kind},
    sys,
};

/// Opens the device of `config`; `None` for a `null` stack. The capture is nearest to the stack: it shows what the stack
/// sent, also if the impaired link loses it, and what the stack received. Log lines of the level in `config` go to
/// standard error from here on, unless the program has a logger of its own.
///
/// # Errors
/// What stood in the way, with the cure. Nothing is left behind then.
pub fn open(config: &Config) -> Result<Option<Box<dyn Device>>, OpenError> {
    sys::log::install(config.log);
    let medium = match config.kind {
        Kind::Tap => Medium::Ethernet,
        Kind::Tun => Medium::Ip,
        Kind::Null => return Ok(None),
    };
    let mut device: Box<dyn Device> = Box::new(TunTap::open(&config.name, medium, config.offload, config.mtu)?);
    if let Some(link) = &config.link {
        device = Box::new(Impair::new(device, link.clone()));
    }
    if let Some(path) = &config.pcap {
        let kind = if medium == Medium::Ethernet { "tap" } else { "tun" };
        device = Capture::create(device, &config.name, path, sys::wall::since_epoch)
            .map(Box::new)
            .map_err(|error| OpenError::new(kind, &config.name, Cause::Capture(path.clone(), error)))?;
    }
    Ok(Some(device))
}
