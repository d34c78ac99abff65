//! Where a call wants to connect to, as its memory says.

use std::ffi::OsStr;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::notify::Call;

/// The longest address of the families that are of interest, that of a Unix socket (unix(7)).
const ADDRESS_BYTES: usize = 110;

/// An address, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A Unix socket in the file system.
    Path(PathBuf),
    /// A port of this machine's loopback address.
    Loopback(u16),
    /// Anything else.
    Other,
}

impl Address {
    /// Copies it out of the caller's memory, once.
    pub(super) fn read(call: &Call, address: usize, length: usize) -> Result<Self, Errno> {
        let mut bytes = [0; ADDRESS_BYTES];
        let length = length.min(ADDRESS_BYTES);
        let there = [RemoteIoVec { base: address, len: length }];
        let pid = Pid::from_raw(call.pid);
        let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut bytes[..length])], &there)?;
        if read == length { Ok(Self::parse(&bytes[..length])) } else { Err(Errno::EFAULT) }
    }

    fn parse(bytes: &[u8]) -> Self {
        let Some((family, rest)) = bytes.split_first_chunk() else { return Self::Other };
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_UNIX => path(rest),
            libc::AF_INET => ip(rest, |rest| {
                let octets: [u8; 4] = rest.get(2..6)?.try_into().ok()?;
                Some(Ipv4Addr::from(octets).into())
            }),
            libc::AF_INET6 => ip(rest, |rest| {
                // Behind the port and the flow.
                let octets: [u8; 16] = rest.get(6..22)?.try_into().ok()?;
                Some(Ipv6Addr::from(octets).to_canonical())
            }),
            _ => Self::Other,
        }
    }
}

/// Abstract names begin with a zero byte; they are nobody's.
fn path(rest: &[u8]) -> Address {
    let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    if name.is_empty() { Address::Other } else { Address::Path(OsStr::from_bytes(name).into()) }
}

fn ip(rest: &[u8], address: impl FnOnce(&[u8]) -> Option<IpAddr>) -> Address {
    let port = rest.first_chunk().map(|port| u16::from_be_bytes(*port));
    match (port, address(rest)) {
        (Some(port), Some(IpAddr::V4(Ipv4Addr::LOCALHOST))) => Address::Loopback(port),
        _ => Address::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(family: i32, rest: &[u8]) -> Address {
        let family = u16::try_from(family).expect("a family").to_ne_bytes();
        Address::parse(&[&family, rest].concat())
    }

    #[test]
    fn only_paths_and_loopback_are_told_apart_from_the_rest() {
        assert_eq!(parse(libc::AF_UNIX, b"/a/b\0rest"), Address::Path("/a/b".into()));
        assert_eq!(parse(libc::AF_UNIX, b"rel"), Address::Path("rel".into()));
        for other in [&b"\0abstract"[..], b""] {
            assert_eq!(parse(libc::AF_UNIX, other), Address::Other);
        }
        assert_eq!(parse(libc::AF_INET, &[0x1f, 0x90, 127, 0, 0, 1, 0, 0]), Address::Loopback(8080));
        for other in [&[0x1f, 0x90, 10, 0, 0, 1][..], &[0x1f, 0x90, 127, 0, 0], &[0x1f], &[]] {
            assert_eq!(parse(libc::AF_INET, other), Address::Other);
        }
        let v6 = |last: [u8; 16]| [&[0x1f, 0x90, 0, 0, 0, 0][..], &last].concat();
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
        assert_eq!(parse(libc::AF_INET6, &v6(mapped)), Address::Loopback(8080));
        assert_eq!(parse(libc::AF_INET6, &v6(Ipv6Addr::LOCALHOST.octets())), Address::Other);
        assert_eq!(parse(libc::AF_UNSPEC, &[0; 14]), Address::Other);
        assert_eq!(Address::parse(&[1]), Address::Other);
    }
}
