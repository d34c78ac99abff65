//! `GET /docs`: the reference for people, Swagger UI over `/openapi.json`. All of it is in this binary, and the page may
//! load nothing from anywhere else.

use std::io::Read as _;
use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;
use drover_shared::dialect::Rejection;
use flate2::read::GzDecoder;

use crate::error::Problem;
use crate::head;

/// Swagger UI writes styles into its elements, and draws with images that stand in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// For an hour: another version of the server has other files of the same names.
const CACHED: &str = "max-age=3600";

/// A file as it goes out.
enum Asset {
    Plain(&'static str),
    Packed(Packed),
}

/// A file with gzip, and without it once somebody has asked for it so.
struct Packed {
    packed: &'static [u8],
    whole: OnceLock<Bytes>,
}

impl Packed {
    const fn new(packed: &'static [u8]) -> Self {
        Self { packed, whole: OnceLock::new() }
    }

    fn whole(&self) -> Result<Bytes, Problem> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole.clone());
        }
        let mut content = Vec::new();
        GzDecoder::new(self.packed).read_to_end(&mut content).map_err(|_| Problem::internal())?;
        Ok(self.whole.get_or_init(|| content.into()).clone())
    }
}

/// What the page refers to, with its media type.
static ASSETS: [(&str, &str, Asset); 3] = [
    ("start.js", "text/javascript; charset=utf-8", Asset::Plain(include_str!("start.js"))),
    (
        "swagger-ui-bundle.js",
        "text/javascript; charset=utf-8",
        Asset::Packed(Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")))),
    ),
    (
        "swagger-ui.css",
        "text/css; charset=utf-8",
        Asset::Packed(Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")))),
    ),
];

/// `GET /docs`
pub(crate) async fn page() -> Response {
    let mut response = Response::new(Body::from(include_str!("page.html")));
    set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
    set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
    set(&mut response, REFERRER_POLICY, "no-referrer");
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, CACHE_CONTROL, "no-cache");
    response
}

/// `GET /docs/{asset}`
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    let (_, kind, asset) = found.ok_or_else(|| Rejection::new(404, "asset_not_found", "No such file."))?;
    let mut response = match asset {
        Asset::Plain(text) => Response::new(Body::from(*text)),
        Asset::Packed(file) if takes_gzip(&headers) => {
            let mut response = Response::new(Body::from(file.packed));
            set(&mut response, CONTENT_ENCODING, "gzip");
            response
        }
        Asset::Packed(file) => Response::new(Body::from(file.whole()?)),
    };
    set(&mut response, CONTENT_TYPE, kind);
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, CACHE_CONTROL, CACHED);
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

/// Every browser does; programs that fetch the page may not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    head::list(headers, &ACCEPT_ENCODING).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip")
            && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn set(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}
