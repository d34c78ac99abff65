//! A provider behind TLS, with a certificate of a local authority.

use super::matrix::{Registry, ask_model};
use drover_tests::chat;
use drover_tests::harness::Cluster;
use drover_tests::upstream::{Upstream, words};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Ends TLS in front of a provider, and counts the connections.
struct Front {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Front {
    /// Writes its authority's certificate to `authority`.
    async fn start(upstream: &Upstream, authority: &Path) -> Self {
        let acceptor = acceptor(authority);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        let behind = upstream.url().replace("http://", "");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, behind, counted) = (acceptor.clone(), behind.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    counted.fetch_add(1, Ordering::Relaxed);
                    let mut provider = TcpStream::connect(behind).await.expect("the provider listens");
                    // Whoever closes first ends both.
                    copy_bidirectional(&mut client, &mut provider).await.ok();
                });
            }
        });
        Self { url, connections }
    }
}

fn acceptor(authority: &Path) -> TlsAcceptor {
    let own = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&own).expect("a certificate");
    std::fs::write(authority, root.pem()).expect("the authority's file");
    let key = KeyPair::generate().expect("a key");
    let issuer = Issuer::new(params, own);
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a certificate that fits its key");
    TlsAcceptor::from(Arc::new(config))
}

async fn cluster(front: &Front, upstream: &Upstream, authority: &Path) -> (Registry, Cluster) {
    let registry = Registry::new().provider("plain", upstream).provider_at("tls", &front.url);
    let registry =
        registry.model("m", "priority", &[("tls", 1, 1)]).model("spare", "priority", &[("plain", 1, 1)]);
    let cluster = registry.for_cluster().env("SSL_CERT_FILE", authority.display().to_string()).start().await;
    (registry, cluster)
}

#[tokio::test]
async fn connections_over_tls_are_used_again() {
    let upstream = Upstream::start();
    let dir = tempfile::TempDir::new().expect("a directory");
    let authority = dir.path().join("authority.pem");
    let front = Front::start(&upstream, &authority).await;
    let (_registry, cluster) = cluster(&front, &upstream, &authority).await;
    for _ in 0..5 {
        let answer = cluster.client().post(chat::PATH, &ask_model("m", "say 4 words")).await;
        assert_eq!(answer.json()["choices"][0]["message"]["content"], words(4), "{}", answer.text());
    }
    assert_eq!((upstream.calls().len(), front.connections.load(Ordering::Relaxed)), (5, 1));
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_not_believed() {
    let upstream = Upstream::start();
    let dir = tempfile::TempDir::new().expect("a directory");
    let front = Front::start(&upstream, &dir.path().join("stranger.pem")).await;
    let other = Front::start(&upstream, &dir.path().join("authority.pem")).await;
    let (_registry, cluster) = cluster(&front, &upstream, &dir.path().join("authority.pem")).await;
    let answer = cluster.client().post(chat::PATH, &ask_model("m", "say 4 words")).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["code"]),
        (502, &"provider_unreachable".into())
    );
    assert_eq!((upstream.calls().len(), other.connections.load(Ordering::Relaxed)), (0, 0));
}
