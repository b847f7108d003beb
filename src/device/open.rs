//! From a configuration to a device: the kind it names, behind the link it describes, captured where it says.

use super::{
    Device,
    capture::Capture,
    error::{Cause, OpenError},
    impair::Impair,
    none::NoDevice,
    tuntap::TunTap,
};
use crate::{
    stack::{Config, Medium, config::Kind},
    sys,
};

/// Opens the device of `config`; `None` for a `null` stack whose loopback is not captured. The capture is nearest to
/// the stack: it shows what the stack sent, also if the impaired link loses it, and what the stack received.
///
/// # Errors
/// What stood in the way, with the cure. Nothing is left behind then.
pub fn open(config: &Config) -> Result<Option<Box<dyn Device>>, OpenError> {
    let open = |medium| TunTap::open(&config.name, medium, config.offload, config.mtu);
    let mut device: Box<dyn Device> = match config.kind {
        Kind::Tap => Box::new(open(Medium::Ethernet)?),
        Kind::Tun => Box::new(open(Medium::Ip)?),
        Kind::Null if config.pcap.is_none() => return Ok(None),
        Kind::Null => Box::new(NoDevice),
    };
    if let Some(link) = &config.link {
        device = Box::new(Impair::new(device, link.clone()));
    }
    if let Some(path) = &config.pcap {
        let name = Some(config.name.as_str()).filter(|_| config.kind != Kind::Null);
        device = Capture::create(device, name, path, sys::wall::since_epoch)
            .map(Box::new)
            .map_err(|error| OpenError::new(config.kind.as_str(), &config.name, Cause::Capture(path.clone(), error)))?;
    }
    Ok(Some(device))
}
