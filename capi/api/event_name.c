#include "clouds.h"

const char *clouds_event_name(uint32_t type)
{
#define NAME(name)                                                                                                     \
    case CLOUDS_EVENT_##name:                                                                                          \
        return #name
    switch ((enum clouds_event_type)type) { /* no default: the compiler misses one that is left out */
        NAME(READY);
        NAME(RESULT);
        NAME(REQUEST);
        NAME(MESSAGE);
        NAME(UNKNOWN);
        NAME(REGISTERED);
        NAME(UNREGISTERED);
        NAME(SENT);
        NAME(STATUS);
        NAME(NODE_CLOSED);
        NAME(CONTEXT_CLOSED);
        NAME(BUS_UP);
        NAME(BUS_DOWN);
        NAME(FIND_SERVER);
        NAME(SAVE_SERVERS);
        NAME(REMOVE_SERVER);
        NAME(CLEAR_SERVERS);
        NAME(ATTEMPT);
        NAME(LOG);
        NAME(CANCELED);
        NAME(SUBSCRIBED);
        NAME(UNSUBSCRIBED);
        NAME(PUBLISHED);
        NAME(PAUSED);
        NAME(PEER);
        NAME(STOP);
    }
#undef NAME
    return "";
}
