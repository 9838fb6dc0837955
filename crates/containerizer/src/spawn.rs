//! Starting a program the way `vfork` does: the child borrows this process's memory until it has
//! become its program, so that a launch costs the same however large this process is.
//!
//! The standard library's way copies the page tables as soon as a user or a session is to be set.

#![allow(
    unsafe_code,
    reason = "a new session and another user need code of ours between clone and exec"
)]

use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::limits::{SPAWN_STACK, STAT_LENGTH};
use crate::user::Identity;

/// Everything the child needs, made before it exists: it may not allocate.
pub(crate) struct Child {
    /// Where the program may be, in the order of trying.
    pub(crate) programs: Vec<CString>,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) directory: CString,
    pub(crate) identity: Option<Identity>,
    /// How many files it may have open, if not as many as this process.
    pub(crate) file_limit: Option<Rlimit>,
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// Where the child leaves word of itself before it becomes its program.
    pub(crate) record: Option<OwnedFd>,
}

/// What the child was at when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Record,
    Session,
    Descriptors,
    Limits,
    User,
    Directory,
    Execute,
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Record,
        Self::Session,
        Self::Descriptors,
        Self::Limits,
        Self::User,
        Self::Directory,
        Self::Execute,
    ];
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// The kernel gave no new process.
    Clone(std::io::Error),
    /// The child failed before it was its program.
    Step(Step, std::io::Error),
}

/// Where the child leaves word of what went wrong; zero means nothing did.
#[derive(Default)]
struct Word {
    step: AtomicU8,
    errno: AtomicI32,
}

/// Starts the child, and returns when it has become its program. The child leaves its number in
/// `announced` before it leaves this process's session.
pub(crate) fn spawn(child: &Child, announced: &AtomicI32) -> Result<i32, SpawnError> {
    let arguments = pointers(&child.arguments);
    let environment = pointers(&child.environment);
    let mut script = script_arguments(&child.arguments);
    let word = Word::default();
    let mut stack = vec![0_u8; SPAWN_STACK];

    // No handler of this process may run in the child, which shares its memory.
    let mut before = SigSet::empty();
    nix::sys::signal::pthread_sigmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut before),
    )
    .map_err(|errno| SpawnError::Clone(errno.into()))?;
    let become_program = Box::new(|| {
        let failure = prepare(child, announced)
            .err()
            .unwrap_or_else(|| execute(&child.programs, &arguments, &mut script, &environment));
        word.step.store(failure.0 as u8, Ordering::Relaxed);
        word.errno.store(failure.1, Ordering::Relaxed);
        127
    });
    // SAFETY: CLONE_VFORK holds this thread until the child has called exec or ended, so all that
    // the child borrows (the stack, the pointers, `word`) outlives its use, and this thread's
    // thread-local data, which the child shares, is used by one of both at a time. The child only
    // makes system calls: it takes no lock, allocates nothing and does not unwind. `SPAWN_STACK`
    // is many times what these calls need.
    let cloned = unsafe {
        clone(
            become_program,
            &mut stack,
            CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK,
            Some(libc::SIGCHLD),
        )
    };
    // The mask was valid when it was read.
    let _ = nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);

    let pid = cloned.map_err(|errno| SpawnError::Clone(errno.into()))?;
    match word.errno.load(Ordering::Relaxed) {
        0 => Ok(pid.as_raw()),
        errno => {
            // It has ended, or is about to.
            let _ = rustix::process::waitpid(
                rustix::process::Pid::from_raw(pid.as_raw()),
                rustix::process::WaitOptions::empty(),
            );
            let step = usize::from(word.step.load(Ordering::Relaxed));
            let step = Step::ALL.get(step).copied().unwrap_or(Step::Execute);
            Err(SpawnError::Step(
                step,
                std::io::Error::from_raw_os_error(errno),
            ))
        }
    }
}

/// Runs in the child.
fn prepare(child: &Child, announced: &AtomicI32) -> Result<(), (Step, i32)> {
    let at = |step: Step| move |errno: Errno| (step, errno.raw_os_error());
    let own = rustix::process::getpid().as_raw_pid();
    announced.store(own, Ordering::SeqCst);
    if let Some(record) = &child.record {
        leave_word(record).map_err(at(Step::Record))?;
    }
    rustix::process::setsid().map_err(at(Step::Session))?;
    rustix::stdio::dup2_stdin(child.stdin.as_fd()).map_err(at(Step::Descriptors))?;
    rustix::stdio::dup2_stdout(child.stdout.as_fd()).map_err(at(Step::Descriptors))?;
    rustix::stdio::dup2_stderr(child.stderr.as_fd()).map_err(at(Step::Descriptors))?;
    close_the_rest();
    if let Some(limit) = &child.file_limit {
        rustix::process::setrlimit(Resource::Nofile, *limit).map_err(at(Step::Limits))?;
    }
    if let Some(identity) = &child.identity {
        // These set the ids of the calling thread, and the child has no other. The functions of the
        // C library would look for the threads of this process.
        rustix::thread::set_thread_groups(&identity.groups).map_err(at(Step::User))?;
        rustix::thread::set_thread_res_gid(identity.gid, identity.gid, identity.gid)
            .map_err(at(Step::User))?;
        rustix::thread::set_thread_res_uid(identity.uid, identity.uid, identity.uid)
            .map_err(at(Step::User))?;
    }
    // As the user: a directory that the user cannot enter is refused here.
    rustix::process::chdir(child.directory.as_c_str()).map_err(at(Step::Directory))?;
    default_signals();
    Ok(())
}

/// Copies what the kernel says of this process to where it was asked to leave word.
fn leave_word(record: &OwnedFd) -> Result<(), Errno> {
    let stat = rustix::fs::open(
        c"/proc/self/stat",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut word = [0_u8; STAT_LENGTH];
    let length = rustix::io::read(&stat, &mut word)?;
    let word = word.get(..length).unwrap_or_default();
    match rustix::io::write(record, word) {
        Ok(written) if written == length => Ok(()),
        Ok(_) => Err(Errno::NOSPC),
        Err(errno) => Err(errno),
    }
}

/// Marks every descriptor but the first three to be closed by exec. What this process opens is
/// marked already; what it was started with may not be.
fn close_the_rest() {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: the call takes numbers and changes only this child's table of descriptors, which it
    // does not share (CLONE_FILES is not set).
    unsafe {
        // Kernels before 5.11 do not know it: there only the marks made at opening count.
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            CLOSE_RANGE_CLOEXEC,
        );
    }
}

/// A program starts with default dispositions and nothing blocked, whatever this process ignores
/// (Rust's runtime ignores SIGPIPE).
fn default_signals() {
    // The C library keeps SIGABRT's disposition behind a lock, and nobody changes it.
    for signal in (1..=64).filter(|signal| *signal != libc::SIGABRT) {
        // SAFETY: dispositions are the child's own (CLONE_SIGHAND is not set), and SIG_DFL runs no
        // code. Numbers that may not be changed are refused without harm.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    // Only from here on may signals arrive: no handler is left.
    let _ =
        nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Becomes the program; returns only if that fails, with the reason that tells most.
fn execute(
    programs: &[CString],
    arguments: &[*const c_char],
    script: &mut [*const c_char],
    environment: &[*const c_char],
) -> (Step, i32) {
    const SHELL: &CStr = c"/bin/sh";
    let mut reason = libc::ENOENT;
    for program in programs {
        // SAFETY: both lists end with a null pointer, and everything they point to lives in the
        // parent, which is held until this call has succeeded.
        unsafe {
            libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        }
        let errno = nix::errno::Errno::last_raw();
        match errno {
            libc::ENOENT | libc::ENOTDIR => {}
            // Another place may hold one that may be executed, as for the shell.
            libc::EACCES => reason = errno,
            // A script without its `#!` line is the shell's, as for execvp.
            libc::ENOEXEC => {
                if let Some(path) = script.get_mut(1) {
                    *path = program.as_ptr();
                }
                // SAFETY: as above.
                unsafe {
                    libc::execve(SHELL.as_ptr(), script.as_ptr(), environment.as_ptr());
                }
                return (Step::Execute, errno);
            }
            _ => return (Step::Execute, errno),
        }
    }
    (Step::Execute, reason)
}

/// The strings as exec wants them.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
    pointers.push(std::ptr::null());
    pointers
}

/// `sh`, a free place for the script's path, and the arguments after the first.
fn script_arguments(arguments: &[CString]) -> Vec<*const c_char> {
    let mut pointers = vec![c"sh".as_ptr(), std::ptr::null()];
    pointers.extend(arguments.iter().skip(1).map(|argument| argument.as_ptr()));
    pointers.push(std::ptr::null());
    pointers
}
