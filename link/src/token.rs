//! The join token: a shared secret of all nodes of a network.

use std::{fmt, path::Path, sync::Arc};

use subtle::ConstantTimeEq;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use crate::{Identity, LinkError, arrivals, files, identity::Caller, strangers};

/// The header for credentials in gRPC as in HTTP; logs and proxies omit it by convention.
const HEADER: &str = "authorization";
const SCHEME: &str = "Bearer ";

/// Allowed lengths of a token in characters: shorter ones could be guessed, and longer ones would not fit into a
/// header.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=1024;

const NEEDED: &str = "a join token is asked for: give the coordinator's with --token-file FILE or in POM2DIB_TOKEN (a run on loopback has its \
     own in its folder, in the file \"token\", which only its user can read)";
const WRONG: &str =
    "the join token is not the coordinator's: give all nodes the same --token-file or POM2DIB_TOKEN";

/// A join token. It never appears in a log.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

impl Token {
    /// Makes a token from a text, without surrounding white space. `whence` names its file or variable in errors.
    ///
    /// # Errors
    ///
    /// [`LinkError::Credentials`] if the text is too short, too long, or has characters that a header cannot carry.
    pub fn new(text: &str, whence: &Path) -> Result<Token, LinkError> {
        let text = text.trim();
        let unfit = |problem: String| LinkError::Credentials { path: whence.into(), problem };
        if !LENGTHS.contains(&text.len()) {
            let (least, most) = (LENGTHS.start(), LENGTHS.end());
            return Err(unfit(format!(
                "a token has {least} to {most} characters, this one {}; {}",
                text.len(),
                files::MAKES_TOKEN
            )));
        }
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Token(text.into())),
            false => Err(unfit("a token is one word of ASCII letters, digits and signs".into())),
        }
    }

    /// Reads a token from a file.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); also if the file cannot be read or is open to others.
    pub fn read(path: &Path) -> Result<Token, LinkError> {
        let bytes = files::read_secret(path, files::MAKES_TOKEN)?;
        let text = String::from_utf8(bytes).map_err(|_| LinkError::Credentials {
            path: path.into(),
            problem: "a token is one word of ASCII letters, digits and signs".into(),
        })?;
        Token::new(&text, path)
    }

    /// The token as text, for files of its own user.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn header(&self) -> MetadataValue<Ascii> {
        let mut value: MetadataValue<Ascii> =
            format!("{SCHEME}{}", self.0).parse().expect("visible ASCII makes a header");
        value.set_sensitive(true);
        value
    }

    /// Whether a header carries this token.
    fn is_in(&self, header: &MetadataValue<Ascii>) -> bool {
        self.is_shown_by(header.as_bytes())
    }

    /// Whether the value of an `authorization` header carries this token. The time taken depends on the length only.
    pub fn is_shown_by(&self, header: &[u8]) -> bool {
        let shown = header.strip_prefix(SCHEME.as_bytes()).unwrap_or_default();
        shown.ct_eq(self.0.as_bytes()).into()
    }

    /// The end of a page's address that hands this token to the page: browsers send it nowhere.
    pub fn fragment(&self) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        format!("#token={}", self.0.bytes().map(encode).collect::<String>())
    }
}

/// Adds the token, if there is one, to every call.
#[derive(Clone, Debug)]
pub struct Present(Option<MetadataValue<Ascii>>);

impl Present {
    pub(crate) fn new(token: Option<&Token>) -> Self {
        Present(token.map(Token::header))
    }
}

impl Interceptor for Present {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert(HEADER, header.clone());
        }
        Ok(request)
    }
}

/// Checks every call before its service does: demands the token, if there is one, and attaches the caller's identity.
#[derive(Clone, Debug)]
pub struct Guard(Option<Token>);

impl Guard {
    pub(crate) fn new(token: Option<&Token>) -> Self {
        Guard(token.cloned())
    }

    fn check(&self, shown: Option<&MetadataValue<Ascii>>) -> Result<(), &'static str> {
        match (&self.0, shown) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(NEEDED),
            (Some(token), Some(shown)) if token.is_in(shown) => Ok(()),
            (Some(_), Some(_)) => Err(WRONG),
        }
    }
}

impl Interceptor for Guard {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // Services do not need the connection.
        let caller = request.extensions_mut().remove::<Caller>();
        // Removed, so that no service can log it.
        let shown = request.metadata_mut().remove(HEADER);
        if let Err(reason) = self.check(shown.as_ref()) {
            let address = caller.and_then(|caller| caller.address);
            strangers::log_refusal("a caller", arrivals::from(address), reason);
            return Err(Status::unauthenticated(reason));
        }
        if let Some(caller) = caller.as_ref().filter(|_| is_grpc(&request)) {
            caller.standing.accept();
        }
        let identity = match (caller.and_then(|caller| caller.name), &self.0) {
            (Some(name), _) => Identity::Peer(name),
            (None, Some(_)) => Identity::Token,
            (None, None) => Identity::Nobody,
        };
        request.extensions_mut().insert(identity);
        Ok(request)
    }
}

/// Whether the request is a gRPC call. Without access control, only this tells a node from other programs that found
/// the port.
fn is_grpc(request: &Request<()>) -> bool {
    let kind = request.metadata().get("content-type").map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "correct-horse-battery";

    fn token(text: &str) -> Result<Token, String> {
        Token::new(text, Path::new("word")).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_same_token_is_let_in_and_no_handler_sees_it() {
        let mut guard = Guard::new(Some(&token(WORD).unwrap()));
        let mut call = |shown: Option<&str>| {
            let shown = shown.map(|text| token(text).unwrap());
            guard.call(Present::new(shown.as_ref()).call(Request::new(())).unwrap())
        };
        let request = call(Some(WORD)).unwrap();
        assert_eq!(Identity::of(&request), Identity::Token);
        assert!(request.metadata().get(HEADER).is_none());
        for (shown, reason) in
            [(Some("correct-horse-batterz"), WRONG), (Some("correct-horse-batteryy"), WRONG), (None, NEEDED)]
        {
            let status = call(shown).unwrap_err();
            assert_eq!((status.code(), status.message()), (tonic::Code::Unauthenticated, reason));
        }
        let mut bare = Request::new(());
        bare.metadata_mut().insert(HEADER, WORD.parse().unwrap());
        assert!(guard.call(bare).is_err(), "without its scheme");
    }

    #[test]
    fn a_token_is_one_long_word_and_shows_in_no_debug_output() {
        assert!(token(&format!("  {WORD}\n")).is_ok());
        for (text, expected) in [
            ("short", "word: a token has 16 to 1024 characters, this one 5;"),
            ("", "this one 0"),
            (&"long".repeat(300), "this one 1200"),
            ("two words are not one", "one word"),
            ("sixteen-lettérs-", "one word"),
        ] {
            let error = token(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let token = token(WORD).unwrap();
        let shown = format!("{token:?} {:?} {:?}", Guard::new(Some(&token)), Present::new(Some(&token)));
        assert!(!shown.contains(WORD), "{shown}");
    }
}
