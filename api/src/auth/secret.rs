//! New keys' secrets.

use drover_shared::schema::KeyDigest;
use drover_shared::secret::Secret;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What every key begins with, so that people and scanners know one when they see it.
pub(crate) const KEY: &str = "sk-drover-";
/// The same of tickets.
pub(crate) const TICKET: &str = "ticket-drover-";

/// A secret of that kind that nobody has, with its digest: SHA-256 over random bits of the operating system's, 122 in each of three
/// identifiers.
pub(crate) fn mint(kind: &str) -> (Secret, KeyDigest) {
    let mut hash = Sha256::new();
    for _ in 0..3 {
        hash.update(Uuid::new_v4().as_bytes());
    }
    let mut text = kind.to_owned();
    super::push_hex(&mut text, &hash.finalize());
    let digest = Sha256::digest(&text).into();
    (Secret::from(text), digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_alike() {
        let ((one, digest), (two, other)) = (mint(KEY), mint(KEY));
        assert!(one.expose() != two.expose() && digest != other);
        assert_eq!((one.expose().len(), &one.expose()[..10]), (74, "sk-drover-"));
        let of_it: KeyDigest = Sha256::digest(one.expose()).into();
        assert_eq!(of_it, digest);
    }
}
