//! New keys' secrets.

use drover_shared::schema::KeyDigest;
use drover_shared::secret::Secret;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What every secret begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "sk-drover-";

/// A secret that nobody has, with its digest: SHA-256 over random bits of the operating system's, 122 in each of three
/// identifiers.
pub(crate) fn mint() -> (Secret, KeyDigest) {
    let mut hash = Sha256::new();
    for _ in 0..3 {
        hash.update(Uuid::new_v4().as_bytes());
    }
    let mut text = PREFIX.to_owned();
    super::push_hex(&mut text, &hash.finalize());
    let digest = Sha256::digest(&text).into();
    (Secret::from(text), digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_alike() {
        let ((one, digest), (two, other)) = (mint(), mint());
        assert!(one.expose() != two.expose() && digest != other);
        assert_eq!((one.expose().len(), &one.expose()[..10]), (74, "sk-drover-"));
        let of_it: KeyDigest = Sha256::digest(one.expose()).into();
        assert_eq!(of_it, digest);
    }
}
