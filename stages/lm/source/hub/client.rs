//! Requests to the hub: redirects, failures that pass, and what its refusals mean.
//!
//! Redirects are followed here, not by the HTTP library, so that the token goes to the hub and to nobody that the hub
//! sends us to.

use std::{fs, io::Read, thread, time::Duration};

use ureq::{
    Agent, Body,
    config::Config,
    http::{Response, Uri, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    Hub,
    settings::{Settings, Token},
};
use crate::contract::SourceError;

/// Attempts without any progress, after which a failure is believed.
const ATTEMPTS: u32 = 5;
const MOST_REDIRECTS: usize = 10;
/// Bytes of a listing; one of a hundred thousand files has thirty million.
const LONGEST_TEXT: u64 = 1 << 28;
const CONNECT: Duration = Duration::from_secs(20);
/// Without a byte for this long, a connection counts as lost.
const SILENCE: Duration = Duration::from_secs(60);

pub struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
    pause: Duration,
}

/// Why a request has no answer.
pub enum Failed {
    /// It may be better the next time.
    Passing(String),
    Final(SourceError),
}

impl Client {
    pub fn new(settings: &Settings) -> Result<Self, SourceError> {
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE));
        let config = match &settings.certificates {
            None => config,
            Some(path) => {
                let wrong = |why: String| SourceError::Unavailable(format!("{}: {why}", path.display()));
                let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
                let roots: Vec<_> = parse_pem(&pem)
                    .filter_map(
                        |item| if let Ok(PemItem::Certificate(certificate)) = item { Some(certificate) } else { None },
                    )
                    .collect();
                if roots.is_empty() {
                    return Err(wrong("there is no certificate in it".to_owned()));
                }
                config.tls_config(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build())
            }
        };
        let Settings { endpoint, token, pause, .. } = settings;
        let agent = config.build().new_agent();
        Ok(Self { agent, endpoint: endpoint.clone(), token: token.clone(), pause: *pause })
    }

    /// The text at a path of the hub.
    pub fn text(&self, hub: &Hub, path: &str) -> Result<String, SourceError> {
        self.trying(hub, |_| {
            let mut answer = self.get(hub, path, 0)?;
            let mut text = String::new();
            let mut body = answer.body_mut().with_config().limit(LONGEST_TEXT).reader();
            body.read_to_string(&mut text).map_err(|error| Failed::Passing(error.to_string()))?;
            Ok(text)
        })
    }

    /// Does something again while it fails for a cause that may pass. Each attempt is told how many failed before it
    /// without progress, and may set that to none.
    pub fn trying<T>(
        &self,
        hub: &Hub,
        mut attempt: impl FnMut(&mut u32) -> Result<T, Failed>,
    ) -> Result<T, SourceError> {
        let mut failures = 0;
        loop {
            match attempt(&mut failures) {
                Ok(done) => return Ok(done),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Passing(why)) => {
                    failures += 1;
                    if failures >= ATTEMPTS {
                        return Err(hub.wrong(&format!(
                            "{} does not answer as it should ({why}), after {ATTEMPTS} attempts. The same command \
                             goes on where this one stopped",
                            self.endpoint
                        )));
                    }
                    let pause = self.pause * 2u32.pow(failures - 1);
                    tracing::info!(target: "fetch", "{}: {why}; trying again in {:.0?}", hub.repository, pause);
                    thread::sleep(pause);
                }
            }
        }
    }

    /// The answer to a request for what lies at `path` of the hub, from byte `from` on; a success.
    pub fn get(&self, hub: &Hub, path: &str, from: u64) -> Result<Response<Body>, Failed> {
        let mut url = format!("{}{path}", self.endpoint);
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask(&url, from).map_err(|error| match error {
                passing if passes(&passing) => Failed::Passing(passing.to_string()),
                error => Failed::Final(hub.wrong(&format!("{url}: {error}"))),
            })?;
            let status = answer.status().as_u16();
            match (status, answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok())) {
                (300..=399, Some(place)) => {
                    url = target(&url, place).ok_or_else(|| {
                        Failed::Final(hub.wrong(&format!("{url} leads to `{place}`, which is no address")))
                    })?;
                }
                (200..=299, _) => return Ok(answer),
                // what there is ends before `from`: the caller begins anew
                (416, _) if from > 0 => return Ok(answer),
                (408 | 429 | 500..=599, _) => return Err(Failed::Passing(format!("HTTP status {status}"))),
                _ => return Err(Failed::Final(hub.wrong(&self.refusal(hub, path, &answer)))),
            }
        }
        Err(Failed::Final(hub.wrong(&format!("{}{path} is redirected without end", self.endpoint))))
    }

    fn ask(&self, url: &str, from: u64) -> Result<Response<Body>, ureq::Error> {
        // bytes as they are: their number and digest are checked
        let mut request = self.agent.get(url).header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| same_origin(url, &self.endpoint)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.secret));
        }
        request.call()
    }

    /// What a refusal means and what to do about it.
    fn refusal(&self, hub: &Hub, path: &str, answer: &Response<Body>) -> String {
        let said = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (status, code, message) = (answer.status().as_u16(), said("x-error-code"), said("x-error-message"));
        let Self { endpoint, token, .. } = self;
        let repository = hub.repository;
        let identify = match token {
            Some(Token { from, .. }) => format!("the token in {from} may not read it"),
            None => format!(
                "set HF_TOKEN to a token that may read it ({endpoint}/settings/tokens), or log in with `hf auth login`"
            ),
        };
        match (status, code) {
            (_, "GatedRepo") => {
                format!("the repository is gated: accept its terms at {endpoint}/{repository}; {identify}")
            }
            (_, "RevisionNotFound") => {
                format!("there is no such revision: {endpoint}/{repository}/tree/main lists branches and tags")
            }
            (_, "EntryNotFound") => format!("the hub lists {path}, but does not have it"),
            (401 | 403, _) if token.is_some() => format!("{endpoint} refuses it ({status} {message}): {identify}"),
            (401 | 403, _) => {
                format!("{endpoint} has no such repository, or a private one: check the name, or {identify}")
            }
            (404, _) => format!("{endpoint} has no such repository: check the name, or if it is private: {identify}"),
            _ => format!("{endpoint}{path} answers with HTTP status {status} {code} {message}").trim_end().to_owned(),
        }
    }
}

/// Whether an error may be gone the next time.
fn passes(error: &ureq::Error) -> bool {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
    matches!(error, Io(_) | Timeout(_) | HostNotFound | ConnectionFailed | Protocol(_))
}

/// Where a redirect leads: an address, or a path of the same host.
fn target(from: &str, place: &str) -> Option<String> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return Some(place.to_owned());
    }
    let from: Uri = from.parse().ok()?;
    let (scheme, host) = (from.scheme_str()?, from.authority()?);
    match place.strip_prefix("//") {
        Some(elsewhere) => Some(format!("{scheme}://{elsewhere}")),
        None => place.starts_with('/').then(|| format!("{scheme}://{host}{place}")),
    }
}

fn same_origin(a: &str, b: &str) -> bool {
    let origin = |url: &str| {
        let url: Uri = url.parse().ok()?;
        Some((url.scheme_str()?.to_owned(), url.authority()?.as_str().to_ascii_lowercase()))
    };
    origin(a).is_some_and(|a| Some(a) == origin(b))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn certificates_that_are_none_are_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"no certificate").unwrap();
        let path = file.path().as_os_str().to_owned();
        let settings = Settings::of(|name| match name {
            "HF_HOME" => Some("/f".into()),
            "SSL_CERT_FILE" => Some(path.clone()),
            _ => None,
        });
        let error = Client::new(&settings.unwrap()).err().unwrap().to_string();
        assert!(error.contains("no certificate in it") && error.contains(file.path().to_str().unwrap()), "{error}");
    }

    #[test]
    fn a_token_stays_with_its_host() {
        assert!(same_origin("https://hub.co/a", "https://HUB.co"));
        for other in
            ["https://cdn.hub.co/a", "http://hub.co/a", "https://hub.co:444/a", "https://hub.co.evil/a", "hub.co"]
        {
            assert!(!same_origin(other, "https://hub.co"), "{other}");
        }
    }

    #[test]
    fn redirects_lead_to_addresses_and_paths() {
        let from = "https://hub.co/org/name/resolve/main/a";
        assert_eq!(target(from, "/b?c").unwrap(), "https://hub.co/b?c");
        assert_eq!(target(from, "//cdn/b").unwrap(), "https://cdn/b");
        assert_eq!(target(from, "http://cdn/b").unwrap(), "http://cdn/b");
        assert_eq!(target(from, "file:///etc/passwd"), None);
    }
}
