//! Names and domains as text, for every option that has some.
//!
//! In: what stands between slashes. Out: [`DomainPattern`]s and [`Name`]s. Names that are not ASCII are refused.

use super::syntax::reveal;
use crate::wire::{DomainPattern, Name};

/// Reads `/domain/…/rest` into its domains and the rest.
pub(super) fn domains(value: &str) -> Result<(Vec<DomainPattern>, &str), String> {
    let inside = value.strip_prefix('/').ok_or("no domain between slashes")?;
    let (list, rest) = inside.rsplit_once('/').ok_or("no slash after the domain")?;
    Ok((patterns(list.split('/'))?, rest.trim()))
}

/// Reads domains: empty for names without dots, `#` for all, `*` for any beginning. A dot in front means nothing (dnsmasq had
/// it once).
pub(super) fn patterns<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<DomainPattern>, String> {
    texts.into_iter().map(|text| pattern(text.trim())).collect()
}

fn pattern(text: &str) -> Result<DomainPattern, String> {
    match text {
        "" => return Ok(DomainPattern::Undotted),
        "#" | "*" => return Ok(DomainPattern::Any),
        "." => return Err("the root is no domain of its own; # stands for all names".to_owned()),
        _ => {}
    }
    let Some(partial) = text.strip_prefix('*') else {
        return Ok(DomainPattern::Domain(name(text.strip_prefix('.').unwrap_or(text))?));
    };
    let (end, rest) = partial.split_once('.').unwrap_or((partial, ""));
    let end = reveal(end).to_ascii_lowercase().into_bytes();
    if end.len() > 63 {
        return Err(format!("domain \"{}\": a label is longer than 63 bytes", reveal(text)));
    }
    let rest = if rest.is_empty() { Name::root() } else { name(rest)? };
    Ok(DomainPattern::Partial { end: end.into(), rest })
}

/// Reads a name.
pub(super) fn name(text: &str) -> Result<Name, String> {
    let text = reveal(text.trim());
    if !text.is_ascii() {
        return Err(format!("\"{text}\": give the name in its ASCII form, xn--…"));
    }
    text.parse().map_err(|error| format!("name \"{text}\": {error}"))
}
