//! The registers in which the arguments of a call are, for functions that look at a call before they let it go on.

/// Assembly that puts the arguments' registers aside, runs `$line`s with the stack as the ABI wants it, and puts the
/// registers back: `rax` is then what was returned.
macro_rules! with_arguments_aside {
    ($($line:literal),+) => {
        concat!(
            "push rdi\npush rsi\npush rdx\npush rcx\npush r8\npush r9\nsub rsp, 8\n",
            $($line, "\n",)+
            "add rsp, 8\npop r9\npop r8\npop rcx\npop rdx\npop rsi\npop rdi"
        )
    };
}
