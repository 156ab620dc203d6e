//! The device itself, below the tool: raw calls, as a malicious root could make them.

#![allow(unsafe_code, reason = "raw system calls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use diagnose_tools::abi;

/// Path of the device.
pub fn path() -> String {
    format!("/dev/{}", abi::DEVICE_NAME)
}

pub fn open() -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path())
        .expect("root may open the device")
}

/// Any ioctl with any argument.
///
/// # Safety
/// If the call writes, `arg` must point to memory that may be written.
pub unsafe fn ioctl(device: &File, request: u64, arg: usize) -> io::Result<i32> {
    // SAFETY: the caller guarantees that `arg` is valid.
    let ret = unsafe { libc::ioctl(device.as_raw_fd(), request as libc::Ioctl, arg) };
    if ret < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}

/// A call that fills or reads one structure.
pub fn call<T>(device: &File, request: u64, value: &mut T) -> io::Result<i32> {
    // SAFETY: the structure has the size that the request's number encodes.
    unsafe { ioctl(device, request, ptr::from_mut(value).addr()) }
}

/// A mapping of the device, which is unmapped when this is dropped.
pub struct Mapping {
    start: *mut libc::c_void,
    len: usize,
}

impl Mapping {
    pub fn new(
        device: &impl AsRawFd,
        len: usize,
        prot: i32,
        flags: i32,
        offset: i64,
    ) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                prot,
                flags,
                device.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start, len })
    }

    pub fn address(&self) -> usize {
        self.start.addr()
    }

    /// mprotect(2) of the whole mapping.
    pub fn protect(&self, prot: i32) -> io::Result<()> {
        // SAFETY: the mapping is this object's own.
        if unsafe { libc::mprotect(self.start, self.len, prot) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// The bytes as they are now; the module must not record meanwhile.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        // SAFETY: the mapping is readable and as long as the vector.
        unsafe { ptr::copy_nonoverlapping(self.start.cast(), bytes.as_mut_ptr(), self.len) };
        bytes
    }
}

impl Mapping {
    /// One of its words; the kernel may write it at the same time. `number` may be any number.
    pub fn word(&self, number: usize) -> u64 {
        let words = self.len / size_of::<u64>();
        // SAFETY: within the mapping, which is readable and aligned; volatile, as the kernel writes
        // it.
        unsafe { self.start.cast::<u64>().add(number % words).read_volatile() }
    }

    /// Unmaps the first page, unless it is the only one.
    pub fn shorten(&mut self) {
        const PAGE: usize = 4096;
        if self.len > PAGE {
            // SAFETY: a part of this object's own mapping, which is no longer used.
            assert_eq!(unsafe { libc::munmap(self.start, PAGE) }, 0, "munmap");
            self.start = self.start.wrapping_byte_add(PAGE);
            self.len -= PAGE;
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's own.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

/// The settings, all zero when not active.
pub fn settings(device: &File) -> Box<abi::Settings> {
    // SAFETY: integers and byte arrays: all zero is a value of it.
    let mut settings: Box<abi::Settings> = Box::new(unsafe { std::mem::zeroed() });
    call(
        device,
        u64::from(abi::call::GET_SETTINGS),
        settings.as_mut(),
    )
    .expect("settings");
    settings
}
