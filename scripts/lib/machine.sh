# shellcheck shell=bash
# Sourced by scripts/vm: how to boot a kernel quickly.

# uncompress_kernel IMAGE OUTPUT: without KVM, a kernel takes longer to
# decompress itself than to boot. QEMU can start an uncompressed one if it has
# the note of a PVH kernel.
uncompress_kernel() {
	python3 - "$1" "$2" <<'PYTHON'
import bz2, gzip, lzma, subprocess, sys, zlib

def zstd(data):
    done = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True)
    return done.stdout

FORMATS = [
    (b"\x1f\x8b\x08", lambda data: zlib.decompressobj(31).decompress(data)),
    (b"\xfd7zXZ\x00", lambda data: lzma.LZMADecompressor().decompress(data)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data)),
    (b"\x28\xb5\x2f\xfd", zstd),
]

with open(sys.argv[1], "rb") as image:
    image = image.read()
for magic, decompress in FORMATS:
    at = image.find(magic)
    while at >= 0:
        try:
            kernel = decompress(image[at:])
        except Exception:
            kernel = b""
        if kernel.startswith(b"\x7fELF"):
            with open(sys.argv[2], "wb") as output:
                output.write(kernel)
            sys.exit()
        at = image.find(magic, at + 1)
sys.exit(1)
PYTHON
	readelf -nW "$2" 2>/dev/null | grep -q '0x00000012\|PVH'
}

# prepare_boot RELEASE IMAGE: put the kernel and virtme-ng's initramfs into a
# folder, and print its path.
prepare_boot() {
	local image=$2 dir=$CACHE/boot/$1 stamp
	stamp=$(stat -L -c '%n %Y %s' "$image")-$VIRTME_VERSION
	if [[ ! -e $dir/stamp || $(<"$dir/stamp") != "$stamp" ]]; then
		rm -rf "$dir"
		mkdir -p "$dir"
		uncompress_kernel "$image" "$dir/kernel" || cp "$image" "$dir/kernel"
		# The overlay folder is not used; asking for one adds the module.
		"$VIRTME_ENV/bin/virtme-run" --kimg "$image" --mods=auto --disable-kvm --force-9p \
			--force-initramfs --overlay-rwdir /etc --dry-run --save-initramfs "$dir/initramfs" \
			>"$dir/log" 2>&1 </dev/null || die "virtme-run cannot prepare $image: $(tail -n 1 "$dir/log")"
		echo "$stamp" >"$dir/stamp"
	fi
	echo "$dir"
}

# shares_files CONFIG: succeed if a guest with this kernel can see the host's
# files. Debian's cloud kernels cannot.
shares_files() {
	[[ ! -e $1 ]] || grep -q '^CONFIG_9P_FS=[ym]' "$1"
}

with_qemu() {
	env PATH="$QEMU_ROOT/usr/bin:$PATH" "$@"
}

# kvm_works KERNEL: succeed if a guest really starts. It is not enough that /dev/kvm can be opened:
# nested in some virtual machines, a guest never runs its first instruction.
kvm_works() {
	local kernel=$1 answer key
	case ${DIAGNOSE_TOOLS_KVM-} in
	0) return 1 ;;
	1) return 0 ;;
	'') ;;
	*) die "DIAGNOSE_TOOLS_KVM is '$DIAGNOSE_TOOLS_KVM': 0 or 1 are allowed" ;;
	esac
	[[ -r /dev/kvm && -w /dev/kvm ]] || return 1
	key=$(cat /proc/sys/kernel/random/boot_id <(with_qemu qemu-system-x86_64 --version) \
		<(stat -L -c '%n %Y %s' "$kernel") | cksum | cut -d' ' -f1)
	answer=$CACHE/boot/kvm-$key
	if [[ ! -e $answer ]]; then
		rm -f "$CACHE"/boot/kvm-*
		if probe_kvm "$kernel"; then echo yes; else echo no; fi >"$answer"
	fi
	[[ $(<"$answer") == yes ]]
}

probe_kvm() {
	with_qemu timeout --kill-after=2 10 qemu-system-x86_64 -accel kvm -machine q35 -cpu host -m 512M \
		-nodefaults -display none -serial stdio -no-reboot -kernel "$1" \
		-append 'console=ttyS0 earlyprintk=serial,ttyS0 panic=-1' </dev/null 2>/dev/null |
		grep -q -m 1 'Linux version'
}
