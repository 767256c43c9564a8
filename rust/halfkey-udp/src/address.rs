//! Socket addresses as the kernel has them.

use core::mem;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for an IPv4 or IPv6 address; `sockaddr_storage` is five times as large.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawAddress {
    pub(crate) const LENGTH: libc::socklen_t = mem::size_of::<Self>() as libc::socklen_t;

    pub(crate) const fn empty() -> Self {
        // SAFETY: all fields of all variants are integers, for which zero is a value. AF_UNSPEC.
        unsafe { mem::zeroed() }
    }

    /// The address and how many of the bytes are used.
    pub(crate) fn new(address: &SocketAddr) -> (Self, libc::socklen_t) {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(address) => {
                raw.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(address.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                (raw, mem::size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(address) => {
                raw.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr {
                        s6_addr: address.ip().octets(),
                    },
                    sin6_scope_id: address.scope_id(),
                };
                (raw, Self::LENGTH)
            }
        }
    }

    /// The address that the kernel wrote; none of another family.
    pub(crate) fn get(&self) -> Option<SocketAddr> {
        // SAFETY: every variant begins with the family, and all bytes are initialised, since
        // `empty` set them and the kernel only writes.
        let family = unsafe { self.family };
        match libc::c_int::from(family) {
            libc::AF_INET => {
                // SAFETY: as above; any bytes are a value.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above; any bytes are a value.
                let v6 = unsafe { self.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in [
            "192.0.2.7:1",
            "[2001:db8::7]:65535",
            "[::ffff:192.0.2.7]:258",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(RawAddress::new(&address).0.get(), Some(address));
        }
        let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5, 6, 7).into();
        assert_eq!(RawAddress::new(&scoped).0.get(), Some(scoped));
        assert_eq!(RawAddress::empty().get(), None);
    }
}
