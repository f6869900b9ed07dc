//! Prevents access to the memory of this process by other programs, as far as the system allows.

/// No core dump, and no debugger of the same user. A command that `exec` runs is not touched: the system forgets this
/// when another program takes the process's place.
pub fn keep_private() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // Where that is not to be had, everything works as before.
        let _ =
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}
