//! Who may call the admin listener.
//!
//! Web pages can reach loopback too, so the `Host` must be an address or a name of this machine's operators (a page that
//! rebinds its DNS name shows that name), a foreign `Origin` is refused, what changes something needs the token, and on
//! any other address everything does. A trace says what people wrote to each other, so looking at one needs it, too.

use crate::protocol::problem::Problem;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::{HeaderMap, Method, StatusCode};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Who may call.
pub struct Door {
    /// Names besides `localhost` and plain addresses that `Host` may show.
    pub names: Vec<String>,
    /// Needed by every call that changes something; none when the operator has switched it off.
    pub token: Option<String>,
    /// Whether looking needs no token: on loopback.
    pub looks_are_free: bool,
}

impl Door {
    pub(super) fn check(&self, method: &Method, headers: &HeaderMap, path: &str) -> Result<(), Problem> {
        let forbidden = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, detail));
        let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
            return Err(Problem::bad_request("the header Host is missing"));
        };
        if !self.is_ours(host) {
            return forbidden("Host is none of this listener's names; call it by its address (or set --admin-host)");
        }
        if let Some(origin) = headers.get(ORIGIN) {
            let own =
                origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_some_and(|(_, at)| at == host);
            if !own {
                return forbidden("pages of another origin may not call this listener");
            }
        }
        if is_of_another_page(headers) {
            return forbidden("pages of another origin may not call this listener");
        }
        // The files of the page are those of every build, and have nothing in them to protect; a trace has all that was said.
        let is_public = path == "/healthz" || path.starts_with(super::dashboard::FILES);
        let is_free = is_public || (self.looks_are_free && !path.ends_with("/record"));
        let only_looks = is_free && matches!(*method, Method::GET | Method::HEAD);
        let Some(token) = self.token.as_ref().filter(|_| !only_looks) else { return Ok(()) };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if shown.is_some_and(|shown| shown.as_bytes().ct_eq(token.as_bytes()).into()) {
            return Ok(());
        }
        let what = if shown.is_some() { "this is not the admin token, which" } else { "the admin token" };
        let words =
            format!("{what} is needed, as Authorization: Bearer TOKEN; the server's first lines say where it is");
        Err(Problem::new(StatusCode::UNAUTHORIZED, words))
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|own| own == name)
    }
}

/// A browser says so of calls that have no `Origin`, too, such as those that a page does not read. Following a link is
/// none: it shows what it gets to nobody but the operator.
fn is_of_another_page(headers: &HeaderMap) -> bool {
    let says = |name: &str, values: &[&str]| {
        headers.get(name).is_some_and(|value| values.iter().any(|wanted| value.as_bytes() == wanted.as_bytes()))
    };
    says("sec-fetch-site", &["cross-site", "same-site"]) && !says("sec-fetch-dest", &["document"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn check(door: &Door, method: &Method, headers: &[(&'static str, &str)], path: &str) -> Option<u16> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        door.check(method, &pairs.collect(), path).err().map(|problem| problem.status().as_u16())
    }

    fn door(token: Option<&str>, looks_are_free: bool) -> Door {
        Door { names: vec!["volley.example".into()], token: token.map(str::to_owned), looks_are_free }
    }

    #[test]
    fn a_rebound_name_and_a_foreign_page_stay_outside() {
        let door = door(None, true);
        let check = |headers: &[(&'static str, &str)]| check(&door, &Method::GET, headers, "/");
        for host in ["127.0.0.1:9090", "localhost", "[::1]:9090", "volley.example:80", "10.0.0.1"] {
            assert_eq!(check(&[("host", host)]), None, "{host}");
        }
        for host in ["evil.example", "evil.example:9090", "localhost.evil.example", ""] {
            assert_eq!(check(&[("host", host)]), Some(403), "{host}");
        }
        assert_eq!(check(&[]), Some(400));
        let host = ("host", "localhost:9090");
        assert_eq!(check(&[host, ("origin", "http://localhost:9090")]), None);
        for origin in ["http://localhost:8080", "https://evil.example", "null"] {
            assert_eq!(check(&[host, ("origin", origin)]), Some(403), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(check(&[host, ("sec-fetch-site", site), ("sec-fetch-dest", "empty")]), Some(403), "{site}");
            assert_eq!(check(&[host, ("sec-fetch-site", site), ("sec-fetch-dest", "iframe")]), Some(403), "{site}");
            assert_eq!(check(&[host, ("sec-fetch-site", site), ("sec-fetch-dest", "document")]), None, "a link");
        }
        assert_eq!(check(&[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "empty")]), None);
    }

    #[test]
    fn the_token_guards_what_changes_something_and_elsewhere_everything() {
        let host = ("host", "10.0.0.1");
        let (right, wrong) = (("authorization", "Bearer secret"), ("authorization", "Bearer wrong"));
        let (loopback, outside) = (door(Some("secret"), true), door(Some("secret"), false));
        for (door, method, looks) in [
            (&loopback, Method::GET, None),
            (&outside, Method::GET, Some(401)),
            (&loopback, Method::POST, Some(401)),
            (&loopback, Method::PUT, Some(401)),
            (&loopback, Method::DELETE, Some(401)),
        ] {
            assert_eq!(check(door, &method, &[host], "/metrics"), looks, "{method}");
            assert_eq!(check(door, &method, &[host, wrong], "/metrics"), looks, "{method}");
            assert_eq!(check(door, &method, &[host, right], "/metrics"), None, "{method}");
        }
        for public in ["/healthz", "/dashboard/main.js"] {
            assert_eq!(check(&outside, &Method::GET, &[host], public), None, "{public}");
            assert_eq!(check(&outside, &Method::POST, &[host], public), Some(401), "{public}");
        }
        assert_eq!(check(&outside, &Method::GET, &[host], "/"), Some(401));
        let trace = "/admin/v1/plugins/chat/record";
        assert_eq!(check(&loopback, &Method::GET, &[host], trace), Some(401));
        assert_eq!(check(&loopback, &Method::GET, &[host, right], trace), None);
        assert_eq!(check(&door(None, true), &Method::POST, &[host], "/"), None, "switched off");
    }
}
