//! What the environment says of the hub, in the variables that `huggingface_hub` knows.

use std::{env, ffi::OsString, fs, path::PathBuf, time::Duration};

use crate::contract::SourceError;

const HUB: &str = "https://huggingface.co";

pub struct Settings {
    /// The hub's cache.
    pub cache: PathBuf,
    /// Where the hub is, without a slash at its end.
    pub endpoint: String,
    pub token: Option<Token>,
    /// Nothing may be fetched.
    pub offline: bool,
    /// Before the first further attempt; it doubles with each.
    pub pause: Duration,
    /// A file of certificates that are believed instead of the built-in ones.
    pub certificates: Option<PathBuf>,
}

/// Who asks.
#[derive(Clone)]
pub struct Token {
    pub secret: String,
    /// Where it was found, for messages: the secret itself is never shown.
    pub from: String,
}

impl Settings {
    pub fn from_env() -> Result<Self, SourceError> {
        Self::of(|name| env::var_os(name))
    }

    /// The settings in these variables.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, SourceError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| path("HOME").map(|home| home.join(".cache/huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(|| SourceError::Unavailable("the hub's cache has no place: set HF_HOME".to_owned()))?;
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().trim().to_owned());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
        let yes = |name: &str| text(name).is_some_and(|value| is_yes(&value));
        Ok(Self {
            cache,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token(text, path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token"))))?,
            offline: yes("HF_HUB_OFFLINE") || yes("TRANSFORMERS_OFFLINE"),
            pause: Duration::from_secs(1),
            certificates: path("REQUESTS_CA_BUNDLE").or_else(|| path("SSL_CERT_FILE")),
        })
    }
}

fn is_yes(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// The token in a variable, else in the file that logging in leaves.
fn token(text: impl Fn(&str) -> Option<String>, file: Option<PathBuf>) -> Result<Option<Token>, SourceError> {
    let named = |name: &str| text(name).map(|secret| Token { secret, from: name.to_owned() });
    let filed = || {
        let file = file?;
        let secret = fs::read_to_string(&file).ok()?.trim().to_owned();
        Some(Token { secret, from: file.display().to_string() })
    };
    let found = named("HF_TOKEN").or_else(|| named("HUGGING_FACE_HUB_TOKEN")).or_else(filed);
    match found.filter(|token| !token.secret.is_empty()) {
        Some(Token { secret, from }) if !secret.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(SourceError::Unavailable(format!("the token in {from} holds spaces or characters that no token has")))
        }
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        with(variables).unwrap()
    }

    fn with(variables: &[(&str, &str)]) -> Result<Settings, SourceError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Settings::of(find)
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        let cache = |variables| settings(variables).cache;
        assert_eq!(cache(&[("HOME", "/h")]), PathBuf::from("/h/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/h"), ("HF_HOME", "/f")]), PathBuf::from("/f/hub"));
        assert_eq!(cache(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]), PathBuf::from("/c"));
        assert!(with(&[]).err().unwrap().to_string().contains("HF_HOME"));
    }

    #[test]
    fn a_token_comes_from_a_variable_or_from_logging_in() {
        let home = tempfile::tempdir().unwrap();
        let home_path = home.path().to_str().unwrap();
        fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let secret = |more: &[(&str, &str)]| {
            settings(&[&[("HF_HOME", home_path)], more].concat()).token.map(|token| token.secret)
        };
        assert_eq!(secret(&[]).unwrap(), "hf_file");
        assert_eq!(secret(&[("HUGGING_FACE_HUB_TOKEN", "hf_old")]).unwrap(), "hf_old");
        assert_eq!(secret(&[("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", " hf_new ")]).unwrap(), "hf_new");
        assert_eq!(secret(&[("HF_TOKEN_PATH", "/nowhere")]), None);
        let split = with(&[("HF_HOME", "/f"), ("HF_TOKEN", "a\r\nX-Evil: 1")]).err().unwrap().to_string();
        assert!(split.contains("HF_TOKEN") && !split.contains("Evil"), "{split}");
    }

    #[test]
    fn offline_and_endpoint() {
        assert!(settings(&[("HF_HOME", "/f"), ("HF_HUB_OFFLINE", "TRUE")]).offline);
        assert!(!settings(&[("HF_HOME", "/f"), ("HF_HUB_OFFLINE", "0")]).offline);
        assert_eq!(settings(&[("HF_HOME", "/f")]).endpoint, HUB);
        assert_eq!(settings(&[("HF_HOME", "/f"), ("HF_ENDPOINT", "http://mirror/")]).endpoint, "http://mirror");
    }
}
