//! Prevents access to the memory of this process by other programs, as far as the system allows.

/// Prevents core dumps, and debuggers of the same user. Does not affect a command that `exec` runs: the system resets
/// the setting when the process executes another program.
pub fn protect_memory() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // If this fails, the program works without the protection.
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}
