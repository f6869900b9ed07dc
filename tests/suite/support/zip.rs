//! A zip archive, for the servers of clients that unpack what they fetch.

/// An archive whose files are stored as they are (APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16).
pub(crate) fn zip(files: &[(String, &str)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let offset = u32_of(archive.len());
        let length = u32_of(text.len());
        let mut common = [20_u16, 0, 0, 0, 0x21].map(u16::to_le_bytes).concat();
        common.extend([crc32(text.as_bytes()), length, length].map(u32::to_le_bytes).concat());
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0; 2]);
        archive.extend([b"PK\x03\x04", &*common, name.as_bytes(), text.as_bytes()].concat());
        let place = [&[0; 10][..], &offset.to_le_bytes()].concat();
        directory.extend([b"PK\x01\x02\x14\0", &*common, &place, name.as_bytes()].concat());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let sizes = [u32_of(directory.len()), u32_of(archive.len())].map(u32::to_le_bytes).concat();
    let end = [b"PK\x05\x06\0\0\0\0", &count[..], &count, &sizes, &[0; 2]].concat();
    [archive, directory, end].concat()
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("a small file")
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}
