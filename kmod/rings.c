// SPDX-License-Identifier: GPL-2.0-only
/* The rings of an activation: memory, mappings, and waking those who wait. */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "compat.h"
#include "rings.h"

/* The header has a page of its own, the records follow. */
#define HEADER_BYTES PAGE_SIZE

/* Of all activations: a waiter may outlive the one that it began to wait in. */
DECLARE_WAIT_QUEUE_HEAD(tcps_rings_waiters);

/*
 * A wake-up is on its way: later records need none of their own, so that a
 * follower is woken once for a batch. Set by writers, cleared by waiters.
 */
static bool wake_pending;

static void wake_waiters(struct irq_work *work)
{
	wake_up_all(&tcps_rings_waiters);
}

void tcps_rings_wake_all(void)
{
	wake_up_all(&tcps_rings_waiters);
}

/* The barrier of wq_has_sleeper() stands before the look at @wake_pending, too. */
void tcps_rings_wake_waiters(struct tcps_rings *rings)
{
	if (READ_ONCE(wake_pending))
		return;
	WRITE_ONCE(wake_pending, true);
	irq_work_queue(&rings->cpu[smp_processor_id()]->wake);
}

void tcps_rings_poll_wait(struct file *file, poll_table *wait)
{
	poll_wait(file, &tcps_rings_waiters, wait);
	WRITE_ONCE(wake_pending, false);
	/* Pairs with wq_has_sleeper() in tcps_rings_wake(). */
	smp_mb();
}

static void cpu_ring_free(struct tcps_cpu_ring *ring)
{
	if (!ring)
		return;
	vfree(ring->pages);
	kfree(ring);
}

static struct tcps_cpu_ring *cpu_ring_create(unsigned int cpu, size_t bytes, u32 records,
					     u64 generation)
{
	struct tcps_cpu_ring *ring = kzalloc_node(sizeof(*ring), GFP_KERNEL, cpu_to_node(cpu));

	if (!ring)
		return NULL;
	ring->pages = vmalloc_user(bytes);
	if (!ring->pages) {
		kfree(ring);
		return NULL;
	}
	tcps_ring_init(&ring->ring, ring->pages, records, HEADER_BYTES, cpu, generation);
	init_irq_work(&ring->wake, wake_waiters);
	return ring;
}

static void rings_free(struct tcps_rings *rings)
{
	unsigned int cpu;

	for (cpu = 0; cpu < rings->nr; cpu++)
		cpu_ring_free(rings->cpu[cpu]);
	kfree(rings);
}

static void rings_release(struct kref *ref)
{
	rings_free(container_of(ref, struct tcps_rings, ref));
}

void tcps_rings_put(struct tcps_rings *rings)
{
	kref_put(&rings->ref, rings_release);
}

/*
 * More than half of the memory that is free now would bring the host into
 * distress instead of failing here.
 */
static bool affordable(size_t bytes)
{
	return (bytes * num_possible_cpus()) >> PAGE_SHIFT < si_mem_available() / 2;
}

struct tcps_rings *tcps_rings_create(u32 records, u64 generation)
{
	size_t bytes = HEADER_BYTES + PAGE_ALIGN((size_t)records * sizeof(struct tcpstates_record));
	struct tcps_rings *rings;
	unsigned int cpu;

	if (!affordable(bytes))
		return NULL;
	rings = kzalloc(struct_size(rings, cpu, nr_cpu_ids), GFP_KERNEL);
	if (!rings)
		return NULL;
	kref_init(&rings->ref);
	rings->nr = nr_cpu_ids;
	rings->bytes = bytes;
	for_each_possible_cpu(cpu) {
		rings->cpu[cpu] = cpu_ring_create(cpu, bytes, records, generation);
		if (!rings->cpu[cpu]) {
			rings_free(rings);
			return NULL;
		}
	}
	return rings;
}

/* No writer is left: the heads are final. */
void tcps_rings_end(struct tcps_rings *rings)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		irq_work_sync(&rings->cpu[cpu]->wake);
		tcps_ring_end(&rings->cpu[cpu]->ring);
	}
}

size_t tcps_rings_memory(const struct tcps_rings *rings)
{
	return num_possible_cpus() * (rings->bytes + sizeof(struct tcps_cpu_ring));
}

u64 tcps_rings_produced(const struct tcps_rings *rings)
{
	unsigned int cpu;
	u64 sum = 0;

	for_each_possible_cpu(cpu)
		sum += tcps_ring_head(&rings->cpu[cpu]->ring);
	return sum;
}

static void rings_vma_open(struct vm_area_struct *vma)
{
	struct tcps_rings *rings = vma->vm_private_data;

	kref_get(&rings->ref);
}

static void rings_vma_close(struct vm_area_struct *vma)
{
	tcps_rings_put(vma->vm_private_data);
}

static const struct vm_operations_struct rings_vm_ops = {
	.open = rings_vma_open,
	.close = rings_vma_close,
};

/* Read-only for good: one whole ring, at its own offset. */
int tcps_rings_mmap(struct tcps_rings *rings, struct vm_area_struct *vma)
{
	unsigned long pages = rings->bytes >> PAGE_SHIFT;
	unsigned long cpu = vma->vm_pgoff / pages;
	int err;

	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	if (vma->vm_pgoff % pages || vma->vm_end - vma->vm_start != rings->bytes)
		return -EINVAL;
	if (cpu >= rings->nr || !rings->cpu[cpu])
		return -ENXIO;
	tcps_vm_forbid(vma, VM_MAYWRITE | VM_MAYEXEC);
	err = remap_vmalloc_range(vma, rings->cpu[cpu]->pages, 0);
	if (err)
		return err;
	vma->vm_private_data = rings;
	vma->vm_ops = &rings_vm_ops;
	kref_get(&rings->ref);
	return 0;
}
