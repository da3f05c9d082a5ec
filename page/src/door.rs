//! Who may read a page and who may give orders.
//!
//! A page on loopback can be reached by whatever runs in the user's browser. Three checks keep other sites out: the
//! `Host` must be this machine by address or as `localhost`, since a name that an attacker's server answers for could
//! be made to lead here; an `Origin`, which browsers send with requests that change something, must be the page's own;
//! and orders carry the run's token, which no other site knows.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, header};
use link::Token;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The page itself, which holds nothing of the run.
    Page,
    /// To read the run's state.
    Read,
    /// To change what the run does.
    Order,
}

/// Why a request is refused, as one line with a remedy.
pub(crate) type Refusal = (StatusCode, String);

/// The checks of a page's requests.
#[derive(Clone, Debug)]
pub struct Door {
    token: Option<Token>,
    /// Where the token is found, after "it is".
    place: &'static str,
    address: SocketAddr,
}

impl Door {
    /// The door of a page at an address. The token is asked of whoever gives orders, and away from loopback also of
    /// readers, who are told that it is in this `place`.
    pub fn new(address: SocketAddr, token: Option<Token>, place: &'static str) -> Self {
        Door { token, place, address }
    }

    /// Whether anybody may give orders.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request may be answered.
    pub(crate) fn check(&self, asks: Asks, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check_host(headers)?;
        check_origin(headers)?;
        let needs_token = match asks {
            Asks::Page => false,
            Asks::Read => !self.address.ip().is_loopback(),
            Asks::Order => true,
        };
        if needs_token { self.check_token(headers) } else { Ok(()) }
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = name_of(host);
        // Other machines may reach a page by any name; there the token keeps strangers out.
        let is_fine = if self.address.ip().is_loopback() { is_this_machine(name) } else { !name.is_empty() };
        match is_fine {
            true => Ok(()),
            false => Err((
                StatusCode::MISDIRECTED_REQUEST,
                format!("this page answers to its address only: open http://{}/", self.address),
            )),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Err((
                StatusCode::FORBIDDEN,
                "nobody can give orders here: this page has no token".into(),
            ));
        };
        match headers.get(header::AUTHORIZATION) {
            Some(shown) if token.is_shown_by(shown.as_bytes()) => Ok(()),
            Some(_) => Err((StatusCode::FORBIDDEN, "the token is not that of this page".into())),
            None => Err((
                StatusCode::UNAUTHORIZED,
                format!(
                    "the page's token is asked for, as \"Authorization: Bearer TOKEN\": it is {}",
                    self.place
                ),
            )),
        }
    }
}

/// A request by another site: an `Origin` other than the page's own, or what browsers say themselves.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or_default();
    let is_own = |origin: &str| origin.strip_prefix("http://").is_some_and(|own| own == host);
    let foreign_origin = text(header::ORIGIN).is_some_and(|origin| !is_own(origin));
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    // A link on another page may lead here; nothing else of that page may.
    let navigates = headers.get("sec-fetch-mode").is_some_and(|mode| mode.as_bytes() == b"navigate");
    let foreign_site = site.is_some_and(|site| site != b"same-origin" && site != b"none") && !navigates;
    match foreign_origin || foreign_site {
        true => Err((StatusCode::FORBIDDEN, "another site may not use this page".into())),
        false => Ok(()),
    }
}

/// The name in a `Host` header, without the port.
fn name_of(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

/// An address, or a name that no name server is asked for.
fn is_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const WORD: &str = "correct-horse-battery";

    fn door(address: &str) -> Door {
        Door::new(
            address.parse().unwrap(),
            Some(Token::new(WORD, Path::new("word")).unwrap()),
            "in the file word",
        )
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn on_loopback_all_may_read_and_only_the_token_gives_orders() {
        let door = door("127.0.0.1:7320");
        let plain = headers(&[("host", "127.0.0.1:7320")]);
        assert!(door.check(Asks::Page, &plain).is_ok() && door.check(Asks::Read, &plain).is_ok());
        assert_eq!(door.check(Asks::Order, &plain).unwrap_err().0, StatusCode::UNAUTHORIZED);
        let wrong = headers(&[("host", "127.0.0.1:7320"), ("authorization", "Bearer correct-horse-batterz")]);
        assert_eq!(door.check(Asks::Order, &wrong).unwrap_err().0, StatusCode::FORBIDDEN);
        let bearer = format!("Bearer {WORD}");
        let right = headers(&[("host", "localhost:9"), ("authorization", &bearer)]);
        assert!(door.check(Asks::Order, &right).is_ok(), "through a tunnel the port differs");
    }

    #[test]
    fn elsewhere_readers_need_the_token_and_the_page_itself_does_not() {
        let door = door("10.0.0.1:7320");
        let plain = headers(&[("host", "alice:7320")]);
        assert!(door.check(Asks::Page, &plain).is_ok());
        assert_eq!(door.check(Asks::Read, &plain).unwrap_err().0, StatusCode::UNAUTHORIZED);
        let bearer = format!("Bearer {WORD}");
        let right = headers(&[("host", "alice:7320"), ("authorization", &bearer)]);
        assert!(door.check(Asks::Read, &right).is_ok());
    }

    #[test]
    fn a_name_that_was_made_to_lead_here_is_refused() {
        let door = door("127.0.0.1:7320");
        for host in
            ["evil.example:7320", "evil.example", "", "localhost.evil.example", "127.0.0.1.evil.example"]
        {
            let refusal = door.check(Asks::Read, &headers(&[("host", host)])).unwrap_err();
            assert_eq!(refusal.0, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
        assert!(door.check(Asks::Page, &HeaderMap::new()).is_err());
        for host in ["127.0.0.1:1", "[::1]:7320", "LOCALHOST"] {
            assert!(door.check(Asks::Read, &headers(&[("host", host)])).is_ok(), "{host}");
        }
    }

    #[test]
    fn another_site_may_do_nothing_even_with_the_token() {
        let door = door("127.0.0.1:7320");
        let bearer = format!("Bearer {WORD}");
        let of = |more: &[(&'static str, &str)]| {
            let mut all = headers(&[("host", "127.0.0.1:7320"), ("authorization", &bearer)]);
            all.extend(headers(more));
            door.check(Asks::Order, &all).map_err(|refusal| refusal.0)
        };
        for origin in
            ["http://evil.example", "null", "http://127.0.0.1:7321", "https://127.0.0.1:7320", "file://"]
        {
            assert_eq!(of(&[("origin", origin)]), Err(StatusCode::FORBIDDEN), "{origin}");
        }
        assert_eq!(of(&[("sec-fetch-site", "cross-site")]), Err(StatusCode::FORBIDDEN));
        assert_eq!(of(&[("sec-fetch-site", "same-site")]), Err(StatusCode::FORBIDDEN));
        assert_eq!(of(&[("origin", "http://127.0.0.1:7320"), ("sec-fetch-site", "same-origin")]), Ok(()));
        let link = headers(&[
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ]);
        assert!(door.check(Asks::Page, &link).is_ok(), "a link may lead here");
    }
}
