// SPDX-License-Identifier: GPL-2.0-only
/* The rings of an activation: memory, mappings, and waking those who wait. */
#include <linux/cpumask.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "compat.h"
#include "rings.h"

/* The header has a page of its own, the records follow. */
#define HEADER_BYTES PAGE_SIZE

/* All rings together, where nothing else is wanted: a 64th of the memory, within these. */
#define BUDGET_SHIFT	6
#define BUDGET_MIN	SZ_16M
#define BUDGET_MAX	SZ_512M
/* Most users need no more; others set the number. */
#define RECORDS_ENOUGH	65536

/* For all activations: a waiter may outlive the one in which it started to wait. */
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

/**
 * tcps_rings_wake_all() - wake all who wait
 *
 * Context: Process context.
 */
void tcps_rings_wake_all(void)
{
	wake_up_all(&tcps_rings_waiters);
}

/**
 * tcps_rings_wake_waiters() - wake who waits, unless that is under way
 * @rings: rings with a new record
 *
 * The barrier of wq_has_sleeper() stands before the look at @wake_pending, too.
 *
 * Context: Any.
 */
void tcps_rings_wake_waiters(struct tcps_rings *rings)
{
	if (READ_ONCE(wake_pending))
		return;
	WRITE_ONCE(wake_pending, true);
	irq_work_queue(&rings->wake);
}

/**
 * tcps_rings_poll_wait() - wait for records
 * @file: the file that is polled
 * @wait: from poll()
 *
 * Context: Process context. To be called before new records are looked for.
 */
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

/* On the memory node of its CPU. */
static struct tcps_cpu_ring *cpu_ring_create(const struct tcps_rings *rings, unsigned int cpu)
{
	int node = cpu_to_node(cpu);
	struct tcps_cpu_ring *ring = kzalloc_node(sizeof(*ring), GFP_KERNEL, node);

	if (!ring)
		return NULL;
	ring->pages = vzalloc_node(rings->bytes, node);
	if (!ring->pages) {
		kfree(ring);
		return NULL;
	}
	tcps_ring_init(&ring->ring, ring->pages, rings->records, HEADER_BYTES, cpu,
		       rings->generation);
	return ring;
}

static void rings_free(struct tcps_rings *rings)
{
	unsigned int cpu;

	for (cpu = 0; cpu < rings->nr; cpu++) {
		cpu_ring_free(rings->cpu[cpu]);
		cond_resched();
	}
	kfree(rings);
}

static void rings_release(struct kref *ref)
{
	rings_free(container_of(ref, struct tcps_rings, ref));
}

/**
 * tcps_rings_put() - drop a reference
 * @rings: rings of the activation
 *
 * Context: Process context, may sleep.
 */
void tcps_rings_put(struct tcps_rings *rings)
{
	kref_put(&rings->ref, rings_release);
}

static size_t ring_bytes(u32 records)
{
	return HEADER_BYTES + PAGE_ALIGN((size_t)records * sizeof(struct tcpstates_record));
}

/**
 * tcps_rings_records() - the default number of records of a ring
 * @budget: bytes for the rings of all CPUs that are online; 0: set to a default
 *
 * Context: Process context.
 */
u32 tcps_rings_records(u64 *budget)
{
	u64 most = *budget ? TCPSTATES_RING_MAX : RECORDS_ENOUGH;
	u64 per_cpu;

	if (!*budget)
		*budget = clamp_t(u64, ((u64)totalram_pages() << PAGE_SHIFT) >> BUDGET_SHIFT,
				  BUDGET_MIN, BUDGET_MAX);
	per_cpu = *budget / num_online_cpus();
	if (per_cpu < ring_bytes(TCPSTATES_RING_MIN))
		return TCPSTATES_RING_MIN;
	per_cpu = (per_cpu - HEADER_BYTES) / sizeof(struct tcpstates_record);
	return min_t(u64, most, rounddown_pow_of_two(per_cpu));
}

/*
 * More than half of the memory that is free now would bring the host into
 * distress instead of failing here.
 */
static bool affordable(size_t bytes, unsigned int rings)
{
	return (bytes >> PAGE_SHIFT) * rings < si_mem_available() / 2;
}

/**
 * tcps_rings_create() - prepare for rings
 * @records: of each ring
 * @generation: of the activation
 *
 * Context: Process context, may sleep.
 * Return: without any ring yet, and with a reference; NULL: the memory for those of
 *	all CPUs that are online is not there.
 */
struct tcps_rings *tcps_rings_create(u32 records, u64 generation)
{
	size_t bytes = ring_bytes(records);
	struct tcps_rings *rings;

	if (!affordable(bytes, num_online_cpus()))
		return NULL;
	rings = kzalloc(struct_size(rings, cpu, nr_cpu_ids), GFP_KERNEL);
	if (!rings)
		return NULL;
	kref_init(&rings->ref);
	init_irq_work(&rings->wake, wake_waiters);
	rings->generation = generation;
	rings->records = records;
	rings->nr = nr_cpu_ids;
	rings->bytes = bytes;
	return rings;
}

/**
 * tcps_rings_add() - the ring of a CPU, made if there is none
 * @rings: rings of the activation
 * @cpu: the CPU
 *
 * Context: Process context, may sleep. One call at a time (see cpus.c).
 * Return: the ring; NULL: no memory.
 */
struct tcps_ring *tcps_rings_add(struct tcps_rings *rings, unsigned int cpu)
{
	struct tcps_cpu_ring *ring = rings->cpu[cpu];

	if (ring)
		return &ring->ring;
	if (!affordable(rings->bytes, 1))
		return NULL;
	ring = cpu_ring_create(rings, cpu);
	if (!ring)
		return NULL;
	/* Readers do not wait for it. Pairs with the acquiring load of tcps_rings_of(). */
	smp_store_release(&rings->cpu[cpu], ring);
	return &ring->ring;
}

/**
 * tcps_rings_end() - there will be no more records, nor rings
 * @rings: rings of the activation
 *
 * Context: Process context, may sleep. Hooks are detached.
 */
void tcps_rings_end(struct tcps_rings *rings)
{
	struct tcps_cpu_ring *ring;
	unsigned int cpu;

	irq_work_sync(&rings->wake);
	for (cpu = 0; cpu < rings->nr; cpu++) {
		ring = tcps_rings_of(rings, cpu);
		if (ring)
			tcps_ring_end(&ring->ring);
	}
}

/**
 * tcps_rings_memory() - bytes of all rings
 * @rings: rings of the activation
 *
 * Context: Any.
 */
size_t tcps_rings_memory(const struct tcps_rings *rings)
{
	size_t sum = struct_size(rings, cpu, rings->nr);
	unsigned int cpu;

	for (cpu = 0; cpu < rings->nr; cpu++)
		if (tcps_rings_of(rings, cpu))
			sum += rings->bytes + sizeof(struct tcps_cpu_ring);
	return sum;
}

/**
 * tcps_rings_produced() - records in all rings so far
 * @rings: rings of the activation
 *
 * Context: Any.
 */
u64 tcps_rings_produced(const struct tcps_rings *rings)
{
	const struct tcps_cpu_ring *ring;
	unsigned int cpu;
	u64 sum = 0;

	for (cpu = 0; cpu < rings->nr; cpu++) {
		ring = tcps_rings_of(rings, cpu);
		if (ring)
			sum += tcps_ring_head(&ring->ring);
	}
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

/*
 * What remap_vmalloc_range() does, for memory that is on a node of our choice:
 * it takes that of vmalloc_user() only. An error takes all of it back.
 */
static int map_pages(struct vm_area_struct *vma, void *pages)
{
	unsigned long done;
	int err = 0;

	tcps_vm_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (done = 0; !err && done < vma->vm_end - vma->vm_start; done += PAGE_SIZE)
		err = vm_insert_page(vma, vma->vm_start + done, vmalloc_to_page(pages + done));
	return err;
}

/**
 * tcps_rings_mmap() - map a whole ring, read-only for good
 * @rings: rings of the activation
 * @vma: the mapping; its offset tells which ring
 *
 * Context: Process context, from mmap().
 * Return: 0 or an error.
 */
int tcps_rings_mmap(struct tcps_rings *rings, struct vm_area_struct *vma)
{
	unsigned long pages = rings->bytes >> PAGE_SHIFT;
	unsigned long cpu = vma->vm_pgoff / pages;
	struct tcps_cpu_ring *ring;
	int err;

	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	if (vma->vm_pgoff % pages || vma->vm_end - vma->vm_start != rings->bytes)
		return -EINVAL;
	ring = cpu < rings->nr ? tcps_rings_of(rings, cpu) : NULL;
	if (!ring)
		return -ENXIO;
	tcps_vm_forbid(vma, VM_MAYWRITE | VM_MAYEXEC);
	err = map_pages(vma, ring->pages);
	if (err)
		return err;
	vma->vm_private_data = rings;
	vma->vm_ops = &rings_vm_ops;
	kref_get(&rings->ref);
	return 0;
}
