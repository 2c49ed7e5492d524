//! SentencePiece's BPE in a GGUF file (`llama`): Llama 1 and 2, Mistral, Gemma.
//!
//! The file holds pieces and scores. SentencePiece joins the neighbours whose joint piece has the best score; the
//! `tokenizers` crate joins by a list of merges, which is made here: every way to cut a piece in two, best piece first,
//! as Hugging Face makes it. Characters that are no piece become bytes.

use std::collections::HashMap;

use tokenizers::{
    DecoderWrapper, NormalizerWrapper,
    decoders::{byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as Decoders, strip::Strip},
    models::bpe::BPE,
    normalizers::{Prepend, Replace, Sequence as Normalizers},
};

use super::{
    TokenizerError,
    from_gguf::{Bare, Vocabulary, key, kind, not_built},
};
use crate::lm::weights::gguf::Meta;

/// How a space is written inside a piece.
const SPACE: &str = "▁";
/// Bytes of a piece that merges are looked for in; real ones have at most a few dozen.
const LONGEST_PIECE: usize = 1024;

pub fn tokenizer(vocabulary: &Vocabulary) -> Result<Bare, TokenizerError> {
    if vocabulary.gguf.meta(&key("precompiled_charsmap")).is_some() {
        return Err(TokenizerError(format!(
            "`{}`: rewriting characters is not supported",
            key("precompiled_charsmap")
        )));
    }
    let gemma = vocabulary.gguf.family().is_gemma();
    let pieces: Vec<String> = vocabulary.tokens.iter().map(|token| spelled(token, gemma)).collect();
    let merges = match vocabulary.merges()? {
        Some(merges) => merges,
        None => merges(&pieces, vocabulary, gemma)?,
    };
    let ids = vocabulary.ids(&pieces)?;
    let mut model = BPE::builder().vocab_and_merges(ids, merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown(vocabulary)? {
        model = model.unk_token(unknown.to_owned());
    }
    let mut inner = tokenizers::Tokenizer::new(model.build().map_err(not_built)?);
    let prefix = vocabulary.flag("add_space_prefix").unwrap_or(!gemma);
    inner.with_normalizer(Some(normalizer(prefix)?)).map_err(not_built)?;
    inner.with_decoder(Some(decoder(prefix)?));
    Ok(Bare { inner, bos: true })
}

/// A piece as merges know it. Gemma's pieces of several spaces are written with real spaces in the file.
fn spelled(token: &str, gemma: bool) -> String {
    let spaces = gemma && !token.is_empty() && token.bytes().all(|byte| byte == b' ');
    if spaces { SPACE.repeat(token.len()) } else { token.to_owned() }
}

/// The token for what has neither a piece nor bytes.
fn unknown<'a>(vocabulary: &Vocabulary<'a>) -> Result<Option<&'a str>, TokenizerError> {
    let named = vocabulary.special("unknown_token_id")?.map(|(_, token)| token);
    let typed = || vocabulary.tokens.iter().enumerate().find(|(id, _)| vocabulary.kind(*id) == kind::UNKNOWN);
    Ok(named.or_else(|| typed().map(|(_, token)| *token)))
}

/// Every way to make a piece of two others, the best piece first. Control tokens and bytes are never made of text.
fn merges(pieces: &[String], vocabulary: &Vocabulary, gemma: bool) -> Result<Vec<(String, String)>, TokenizerError> {
    let scores = scores(pieces.len(), vocabulary, gemma)?;
    let joined = |id: usize| matches!(vocabulary.kind(id), kind::NORMAL | kind::USER_DEFINED);
    let ids: HashMap<&str, usize> =
        pieces.iter().enumerate().filter(|(id, _)| joined(*id)).map(|(id, piece)| (piece.as_str(), id)).collect();
    let mut found = vec![];
    for (id, piece) in pieces.iter().enumerate().filter(|(id, _)| joined(*id)) {
        if piece.len() > LONGEST_PIECE {
            return Err(TokenizerError(format!("token {id} has {} bytes: no piece is as long", piece.len())));
        }
        let cuts = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        let cuts = cuts.enumerate().filter(|(_, (left, right))| ids.contains_key(left) && ids.contains_key(right));
        found.extend(cuts.map(|(cut, (left, right))| (scores[id], cut, right.chars().count(), left, right)));
    }
    // Ties as Hugging Face breaks them: the longer left part, then the longer right part, then the earlier piece.
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2)));
    Ok(found.into_iter().map(|(.., left, right)| (left.to_owned(), right.to_owned())).collect())
}

/// What orders the pieces, best first. Gemma's scores do not follow its merges: its pieces stand in their order.
fn scores(count: usize, vocabulary: &Vocabulary, gemma: bool) -> Result<Vec<f64>, TokenizerError> {
    if gemma {
        return Ok((0..count).map(|id| -(id as f64)).collect());
    }
    let scores = vocabulary.gguf.meta(&key("scores")).and_then(Meta::as_array);
    let scores = scores.and_then(|scores| scores.iter().map(Meta::as_f64).collect::<Option<Vec<_>>>());
    scores.filter(|scores| scores.len() == count && scores.iter().all(|score| score.is_finite())).ok_or_else(|| {
        TokenizerError(format!("`{}` does not have one number for each of {count} tokens", key("scores")))
    })
}

/// Spaces become part of pieces, and a text begins with one even where it does not: as in SentencePiece itself.
fn normalizer(prefix: bool) -> Result<Normalizers, TokenizerError> {
    let prepend = prefix.then(|| NormalizerWrapper::from(Prepend::new(SPACE.to_owned())));
    let replace = Replace::new(" ", SPACE).map_err(not_built)?;
    Ok(Normalizers::new(prepend.into_iter().chain([replace.into()]).collect()))
}

fn decoder(prefix: bool) -> Result<Decoders, TokenizerError> {
    let replace = Replace::new(SPACE, " ").map_err(not_built)?;
    let strip = prefix.then(|| DecoderWrapper::from(Strip::new(' ', 1, 0)));
    let first: [DecoderWrapper; 3] = [replace.into(), ByteFallback::new().into(), Fuse::new().into()];
    Ok(Decoders::new(first.into_iter().chain(strip).collect()))
}
