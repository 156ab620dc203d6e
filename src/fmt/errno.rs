//! Errors of the system in all languages: in English as the system writes them, in Chinese as the C
//! library does.

use std::io::{self, ErrorKind};
use std::process::ExitStatus;

use nix::errno::Errno;

use crate::fmt::text::{Text, Words, text};

/// A problem with a file, as an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.en())]
struct Problem(Words);

/// An error of the program in a function that returns errors of the system.
pub fn other(problem: Words) -> io::Error {
    io::Error::other(Problem(problem))
}

/// An error of the system.
pub fn of(error: &io::Error) -> Text {
    let problem = error.get_ref().and_then(|e| e.downcast_ref::<Problem>());
    let code = error.raw_os_error();
    match (problem, code, code.and_then(in_chinese)) {
        (Some(Problem(words)), ..) => (*words).into(),
        (None, Some(code), Some(known)) => {
            Text::new(error.to_string(), format!("{known}（错误码 {code}）"))
        }
        _ => match kind_in_chinese(error.kind()) {
            Some(known) if code.is_none() => Text::new(error.to_string(), known.into()),
            _ => Text::same(error.to_string()),
        },
    }
}

/// An error number, with its symbol.
pub fn of_number(errno: Errno) -> Text {
    match in_chinese(errno as i32) {
        Some(known) => Text::new(errno.to_string(), format!("{known}（{errno:?}）")),
        None => Text::same(errno.to_string()),
    }
}

/// The text of an error number, without its symbol.
pub fn description(errno: Errno) -> Text {
    let known = in_chinese(errno as i32).unwrap_or(errno.desc());
    Text::new(errno.desc().into(), known.into())
}

/// How a program ended.
pub fn status(status: ExitStatus) -> Text {
    match status.code() {
        Some(code) => text!("exit status: {code}", "退出状态：{code}"),
        None => Text::same(status.to_string()),
    }
}

fn in_chinese(code: i32) -> Option<&'static str> {
    Some(match Errno::from_raw(code) {
        Errno::EPERM => "不允许的操作",
        Errno::ENOENT => "没有那个文件或目录",
        Errno::ESRCH => "没有那个进程",
        Errno::EINTR => "被中断的系统调用",
        Errno::EIO => "输入/输出错误",
        Errno::ENXIO => "没有那个设备或地址",
        Errno::ENOEXEC => "可执行文件格式错误",
        Errno::EBADF => "错误的文件描述符",
        Errno::EAGAIN => "资源暂时不可用",
        Errno::ENOMEM => "无法分配内存",
        Errno::EACCES => "权限不够",
        Errno::EFAULT => "错误的地址",
        Errno::EBUSY => "设备或资源忙",
        Errno::EEXIST => "文件已存在",
        Errno::EXDEV => "无效的跨设备链接",
        Errno::ENODEV => "没有那个设备",
        Errno::ENOTDIR => "不是目录",
        Errno::EISDIR => "是一个目录",
        Errno::EINVAL => "无效的参数",
        Errno::ENFILE => "系统中打开的文件过多",
        Errno::EMFILE => "打开的文件过多",
        Errno::ENOTTY => "对设备不适当的 ioctl 操作",
        Errno::ETXTBSY => "文本文件忙",
        Errno::EFBIG => "文件过大",
        Errno::ENOSPC => "设备上没有空间",
        Errno::EROFS => "只读文件系统",
        Errno::EMLINK => "链接过多",
        Errno::EPIPE => "断开的管道",
        Errno::ENAMETOOLONG => "文件名过长",
        Errno::ENOSYS => "函数未实现",
        Errno::ENOTEMPTY => "目录非空",
        Errno::ELOOP => "符号链接的层数过多",
        Errno::EBADMSG => "错误的消息",
        Errno::EOVERFLOW => "值超出数据类型的范围",
        Errno::EOPNOTSUPP => "不支持的操作",
        Errno::EADDRINUSE => "地址已被使用",
        Errno::EADDRNOTAVAIL => "无法分配请求的地址",
        Errno::ETIMEDOUT => "超时",
        Errno::EDQUOT => "超出磁盘配额",
        Errno::ENOKEY => "所需的密钥不可用",
        Errno::EKEYREJECTED => "密钥被拒绝",
        _ => return None,
    })
}

fn kind_in_chinese(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound => "没有那个文件或目录",
        ErrorKind::PermissionDenied => "权限不够",
        ErrorKind::StorageFull => "设备上没有空间",
        ErrorKind::InvalidData => "内容不是有效的数据",
        ErrorKind::UnexpectedEof => "文件意外结束",
        ErrorKind::BrokenPipe => "断开的管道",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::lang::Lang::{En, Zh};
    use crate::fmt::text::words;

    #[test]
    fn errors_of_the_system_are_told_in_each_language() {
        let missing = of(&io::Error::from_raw_os_error(2));
        assert_eq!(missing.of(En), "No such file or directory (os error 2)");
        assert_eq!(missing.of(Zh), "没有那个文件或目录（错误码 2）");
        let number = of_number(Errno::ENOENT);
        assert_eq!(number.of(En), "ENOENT: No such file or directory");
        assert_eq!(number.of(Zh), "没有那个文件或目录（ENOENT）");
        let rare = io::Error::from_raw_os_error(Errno::ENOANO as i32);
        assert_eq!(of(&rare), Text::same(rare.to_string()));
        assert_eq!(
            of(&ErrorKind::StorageFull.into()).of(En),
            "no storage space"
        );
        assert_eq!(of(&ErrorKind::StorageFull.into()).of(Zh), "设备上没有空间");
        let own = words!("it is too long", "它太长");
        assert_eq!(of(&other(own)), own.into());
        assert_eq!(other(own).to_string(), "it is too long");
    }
}
