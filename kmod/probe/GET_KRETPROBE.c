// SPDX-License-Identifier: GPL-2.0-only
/* Is the probe of an instance found by a function (5.11)? */
#include <linux/kprobes.h>

struct kretprobe *probe(struct kretprobe_instance *instance);
struct kretprobe *probe(struct kretprobe_instance *instance)
{
	return get_kretprobe(instance);
}
