//! Inputs made of seeds: bytes flipped, pieces taken out, doubled, put in from another seed or from a list of words that
//! readers stumble over.

/// Numbers that a seed repeats.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(crate::support::seed::next(&mut self.0)).unwrap_or(0) % end.max(1)
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A range within `length`, mostly a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 8 };
        start..(start + self.below(most + 1)).min(length)
    }
}

/// What readers stumble over.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b"@",
    b"\\",
    b"/",
    b"//",
    b"?",
    b"#",
    b":",
    b"://",
    b"%0a",
    b"%00",
    b"%2f",
    b"*.",
    b"..",
    b".",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"\\u0000",
    b"\\n",
    b"=",
    b"[]=",
    b"url=",
    b"host=",
    b"git.acme.dev",
    b"evil.dev",
    b"https://",
    b"http://",
    b"127.0.0.1:3000",
    b"0x7f.1",
    b"443",
    b"65536",
    b"-1",
    b"9223372036854775808",
    b"1e999",
    b"null",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    "\u{202e}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{ff0f}".as_bytes(),
    "\u{fc}".as_bytes(),
    b"xn--",
    b"Bearer ",
    b"wwwauth[]=Bearer",
    b"capability[]=authtype\n",
    b"\x1b[2J",
    b"9999-12-31T23:59:59-23:59",
    b"eyJ",
];

/// One of the seeds, changed a few times.
pub(crate) fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = random.one_of(seeds).clone();
    for _ in 0..=random.below(5) {
        let range = random.range(data.len());
        match random.below(6) {
            0 if !data.is_empty() => {
                let place = random.below(data.len());
                data[place] ^= 1 << random.below(8);
            }
            1 => drop(data.drain(range)),
            2 => {
                let piece = data[range.clone()].repeat(1 + random.below(3));
                data.splice(range.start..range.start, piece);
            }
            3 => {
                let other = random.one_of(seeds);
                let piece = other[random.range(other.len())].to_vec();
                data.splice(range, piece);
            }
            _ => {
                let word = random.one_of(WORDS).to_vec();
                data.splice(range.start..range.start, word);
            }
        }
    }
    data
}
