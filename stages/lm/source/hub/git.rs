//! Git's name of a file's content: SHA-1 of a header and the bytes. The hub knows small files by it.
//!
//! SHA-1 is no protection against somebody who wants to deceive; it tells a whole file from a damaged one. Large files
//! have a SHA-256.

/// Takes the bytes of a file and gives Git's name of it.
pub struct GitBlob {
    state: [u32; 5],
    /// Bytes that do not fill a block yet.
    rest: Vec<u8>,
    length: u64,
}

const BLOCK: usize = 64;

impl GitBlob {
    /// For a file of this many bytes.
    pub fn of_size(size: u64) -> Self {
        let state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
        let mut hash = Self { state, rest: vec![], length: 0 };
        hash.update(format!("blob {size}\0").as_bytes());
        hash
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / BLOCK * BLOCK;
        let rest = self.rest.split_off(whole);
        for block in self.rest.chunks_exact(BLOCK) {
            compress(&mut self.state, block);
        }
        self.rest = rest;
    }

    /// 40 hexadecimal digits.
    pub fn finish(mut self) -> String {
        let bits = self.length * 8;
        let zeros = (2 * BLOCK - 9 - self.rest.len() % BLOCK) % BLOCK;
        self.update(&[&[0x80][..], &vec![0; zeros], &bits.to_be_bytes()].concat());
        self.state.iter().map(|word| format!("{word:08x}")).collect()
    }
}

/// One block, as FIPS 180-4 has it.
fn compress(state: &mut [u32; 5], block: &[u8]) {
    let mut words = [0u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    for t in 16..80 {
        words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (t, word) in words.iter().enumerate() {
        let (f, k) = match t / 20 {
            0 => (b & c | !b & d, 0x5A82_7999),
            1 => (b ^ c ^ d, 0x6ED9_EBA1),
            2 => (b & c | b & d | c & d, 0x8F1B_BCDC),
            _ => (b ^ c ^ d, 0xCA62_C1D6),
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (state, new) in state.iter_mut().zip([a, b, c, d, e]) {
        *state = state.wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8], pieces: usize) -> String {
        let mut hash = GitBlob::of_size(bytes.len() as u64);
        bytes.chunks(pieces).for_each(|piece| hash.update(piece));
        hash.finish()
    }

    /// The expected names are what `git hash-object --stdin` prints.
    #[test]
    fn names_are_those_of_git() {
        assert_eq!(name(b"", 1), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(name(b"hello\n", 2), "ce013625030ba8dba906f756967f9e9ca394464a");
        let long: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
        assert_eq!(name(&long, 1000), "5bab7ca2f00700d948876448fd735ee860246ef4");
        assert_eq!(name(&long, 7), "5bab7ca2f00700d948876448fd735ee860246ef4");
        for size in [46, 47, 54, 55, 56, 63, 64] {
            assert_eq!(name(&long[..size], 64), name(&long[..size], 1), "{size}");
        }
        assert_eq!(name(&long[..55], 64), "9525d86f397cdc2c5a3672bf546c184250c8a02d");
    }
}
