// SPDX-License-Identifier: GPL-2.0-only
/* Classes of states, by which connections are counted for pairs and listeners. */
#include <net/tcp_states.h>

#include "state_class.h"

const u8 tcps_state_class[TCPSTATES_NR_STATES] = {
	[TCPSTATES_STATE_NEW] = TCPS_NO_CLASS,
	[TCP_ESTABLISHED] = TCPS_ESTABLISHED,
	[TCP_SYN_SENT] = TCPS_HALF_OPEN,
	[TCP_SYN_RECV] = TCPS_HALF_OPEN,
	[TCP_FIN_WAIT1] = TCPS_CLOSING,
	[TCP_FIN_WAIT2] = TCPS_CLOSING,
	[TCP_TIME_WAIT] = TCPS_IN_TIMEWAIT,
	[TCP_CLOSE] = TCPS_NO_CLASS,
	[TCP_CLOSE_WAIT] = TCPS_CLOSING,
	[TCP_LAST_ACK] = TCPS_CLOSING,
	[TCP_LISTEN] = TCPS_LISTENING,
	[TCP_CLOSING] = TCPS_CLOSING,
	[TCP_NEW_SYN_RECV] = TCPS_HALF_OPEN,
};
