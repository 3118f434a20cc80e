//! The smallest XDP program, `return XDP_PASS`, as an object file that iproute2 can load.
//!
//! Two instructions do not deserve a compiler: with the object written here, the lab rises on a machine without the BPF
//! tool chain. Format: ELF-64, little-endian, relocatable, machine BPF, with one section of code (RFC 9669) and a symbol.

/// Section of the program, which also tells the loader its type.
pub const SECTION: &str = "xdp";

/// The object file.
pub fn object() -> Vec<u8> {
    // r0 = XDP_PASS; exit
    object_of(SECTION, "pass", &[[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]])
}

/// The object file of a program of a few instructions, which calls helpers but uses no map.
pub fn object_of(section: &str, function: &str, code: &[[u8; 8]]) -> Vec<u8> {
    let mut names = b"\0".to_vec();
    let mut name = |text: &str| {
        let at = names.len() as u32;
        names.extend_from_slice(text.as_bytes());
        names.push(0);
        at
    };
    let (code_name, license_name, symbols_name) = (name(section), name("license"), name(".symtab"));
    let (strings_name, function_name) = (name(".strtab"), name(function));

    let code = code.concat();
    let license = b"Dual MIT/GPL\0\0\0\0".to_vec();
    let symbols = [vec![0; SYMBOL_LEN], function_symbol(function_name, code.len() as u64)].concat();
    names.resize(names.len().next_multiple_of(8), 0);

    // Sections in the order of their numbers; number 0 is the empty one.
    let sections = [
        Section { name: code_name, kind: PROGBITS, flags: ALLOC | EXECINSTR, link: 0, info: 0, entry: 0, body: code },
        Section { name: license_name, kind: PROGBITS, flags: ALLOC | WRITE, link: 0, info: 0, entry: 0, body: license },
        Section {
            name: symbols_name,
            kind: SYMTAB,
            flags: 0,
            link: STRINGS_NUMBER.into(),
            info: 1,
            entry: SYMBOL_LEN as u64,
            body: symbols,
        },
        Section { name: strings_name, kind: STRTAB, flags: 0, link: 0, info: 0, entry: 0, body: names },
    ];
    assemble(&sections)
}

/// One section with its header's fields.
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    link: u32,
    info: u32,
    entry: u64,
    body: Vec<u8>,
}

/// File header, bodies, section headers.
fn assemble(sections: &[Section]) -> Vec<u8> {
    let bodies: usize = sections.iter().map(|section| section.body.len()).sum();
    let headers_at = (FILE_HEADER_LEN + bodies) as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    put16(&mut file, &[RELOCATABLE, MACHINE_BPF]);
    put32(&mut file, &[1]);
    put64(&mut file, &[0, 0, headers_at]);
    put32(&mut file, &[0]);
    put16(&mut file, &[FILE_HEADER_LEN as u16, 0, 0, SECTION_HEADER_LEN, sections.len() as u16 + 1, STRINGS_NUMBER]);
    let mut headers = vec![0; SECTION_HEADER_LEN.into()];
    for section in sections {
        put32(&mut headers, &[section.name, section.kind]);
        put64(&mut headers, &[section.flags, 0, file.len() as u64, section.body.len() as u64]);
        put32(&mut headers, &[section.link, section.info]);
        put64(&mut headers, &[8, section.entry]);
        file.extend_from_slice(&section.body);
    }
    file.extend_from_slice(&headers);
    file
}

/// The symbol table's entry for a global function in section 1.
fn function_symbol(name: u32, len: u64) -> Vec<u8> {
    let mut symbol = Vec::new();
    put32(&mut symbol, &[name]);
    symbol.extend_from_slice(&[GLOBAL_FUNCTION, 0]);
    put16(&mut symbol, &[1]);
    put64(&mut symbol, &[0, len]);
    symbol
}

/// Appends numbers of 16 bits.
fn put16(file: &mut Vec<u8>, values: &[u16]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Appends numbers of 32 bits.
fn put32(file: &mut Vec<u8>, values: &[u32]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Appends numbers of 64 bits.
fn put64(file: &mut Vec<u8>, values: &[u64]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Length of the file header.
const FILE_HEADER_LEN: usize = 64;
/// Length of a section header.
const SECTION_HEADER_LEN: u16 = 64;
/// Length of a symbol.
const SYMBOL_LEN: usize = 24;
/// Number of the section with the names.
const STRINGS_NUMBER: u16 = 4;
/// `ET_REL`
const RELOCATABLE: u16 = 1;
/// `EM_BPF`
const MACHINE_BPF: u16 = 247;
/// `STB_GLOBAL`, `STT_FUNC`
const GLOBAL_FUNCTION: u8 = 0x12;
/// `SHT_PROGBITS`
const PROGBITS: u32 = 1;
/// `SHT_SYMTAB`
const SYMTAB: u32 = 2;
/// `SHT_STRTAB`
const STRTAB: u32 = 3;
/// `SHF_WRITE`
const WRITE: u64 = 1;
/// `SHF_ALLOC`
const ALLOC: u64 = 2;
/// `SHF_EXECINSTR`
const EXECINSTR: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_ends_with_its_last_section_header() {
        let file = object();
        let headers_at = u64::from_le_bytes(file[40..48].try_into().unwrap()) as usize;
        assert_eq!(file.len(), headers_at + 5 * usize::from(SECTION_HEADER_LEN));
        assert_eq!(headers_at % 8, 0);
    }
}
