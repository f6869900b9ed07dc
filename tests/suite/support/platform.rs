//! The build of the helper that the tests run. `MY_TEST_PLATFORM` selects one that `.ci/platform` has made: `windows` runs
//! the Windows program under wine, `arm` the ARM program under qemu. Without it, the program of this machine runs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::HELPER;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Host,
    /// Windows on x86-64, under wine.
    Windows,
    /// Linux on 64-bit ARM, under qemu.
    Arm,
}

pub(crate) static PLATFORM: LazyLock<Platform> =
    LazyLock::new(|| match std::env::var("MY_TEST_PLATFORM").as_deref() {
        Err(_) => Platform::Host,
        Ok("windows") => Platform::Windows,
        Ok("arm") => Platform::Arm,
        Ok(other) => panic!("MY_TEST_PLATFORM={other}: `windows` or `arm`"),
    });

/// Whether the program under test is the Windows program.
pub(crate) fn is_windows() -> bool {
    *PLATFORM == Platform::Windows
}

/// What `.ci/platform` has made, in `target/ci`.
fn made(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci").join(path)
}

/// A folder of this machine, as wine names it.
pub(crate) fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

impl Platform {
    /// Starts the helper under this name.
    pub(super) fn helper(self, name: &str) -> Command {
        match self {
            Self::Host => {
                let mut command = Command::new(HELPER);
                std::os::unix::process::CommandExt::arg0(&mut command, name);
                command
            }
            // wine takes the name from the file, and .ci/platform has made one for each name.
            Self::Windows => {
                let name = name.rsplit('/').next().unwrap_or(name);
                wine(&made("windows/bin").join(format!("{name}.exe")))
            }
            Self::Arm => {
                let mut command = Command::new("qemu-aarch64-static");
                command.args(["-L", "/usr/aarch64-linux-gnu", "-0", name]);
                command.arg(made("arm/my-credential-helper"));
                command
            }
        }
    }

    /// The variables that the helper needs in this home.
    pub(super) fn variables(self, home: &Path) -> Vec<(&'static str, PathBuf)> {
        let own = |name: &str| PathBuf::from(windows_path(&home.join(name)));
        match self {
            Self::Host | Self::Arm => vec![("HOME", home.to_owned())],
            Self::Windows => vec![
                ("HOME", home.to_owned()),
                ("WINEPREFIX", made("windows/prefix")),
                ("WINEDEBUG", "-all".into()),
                ("LC_ALL", "C.UTF-8".into()),
                // One Credential Manager is shared by all homes: only the tests of the keyring use it.
                ("MY_NO_KEYRING", FOR_A_TEST.into()),
                ("WINE_USERPROFILE", windows_path(home).into()),
                ("WINE_APPDATA", own("AppData/Roaming")),
                ("WINE_LOCALAPPDATA", own("AppData/Local")),
                ("WINE_TEMP", own("AppData/Local/Temp")),
            ],
        }
    }

    /// `config.toml`, below the home.
    pub(crate) fn configuration(self) -> &'static str {
        match self {
            Self::Host | Self::Arm => ".config/my-credential-helper/config.toml",
            Self::Windows => "AppData/Roaming/mycli/my-credential-helper/config/config.toml",
        }
    }
}

/// What the Windows program prints as the Linux program would: a path below the home with the separators of Linux.
pub(super) fn linux_paths(home: &Path, printed: &str) -> String {
    let plain = windows_path(home);
    let escaped = plain.replace('\\', "\\\\");
    [(escaped, "\\\\"), (plain, "\\")].into_iter().fold(
        printed.to_owned(),
        |text, (name, separator)| {
            let mut parts = text.split(&name);
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |text, rest| {
                let end = rest.find(['"', ' ', '\n', ',']).unwrap_or(rest.len());
                let path = rest[..end].replace(separator, "/");
                format!("{text}{}{path}{}", home.display(), &rest[end..])
            })
        },
    )
}

/// The value by which a test knows that it did not set the variable itself.
pub(super) const FOR_A_TEST: &str = "for a test";

/// A Windows program under wine.
pub(crate) fn wine(program: &Path) -> Command {
    let mut command = Command::new("/usr/lib/wine/wine64");
    command.arg(program);
    command
}
