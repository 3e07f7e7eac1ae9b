/* A stand-in for libnvidia-ml.so.1 whose cards are described by a text file.
 *
 * ORZE_FAKE_NVML names the file; it is read anew at every call, so that a test can change a card while a
 * daemon runs. Without it there is no driver. Its lines, with numbers as nvml.h has them:
 *
 *   driver VERSION FAULT
 *   device ID UUID TOTAL_MIB USED_MIB FAULT PROCESS_FAULT TEMPERATURE UTILIZATION MIG NAME
 *   process ID PID MIB
 *
 * ID is "0" for a card and "0:1" for its second MIG instance. FAULT is the nvmlReturn_t that the driver or the
 * card answers to everything, 0 for none. USED_MIB and MIB are -1 where they cannot be told, MIG is -1 for a
 * card that has no such mode. ORZE_FAKE_NVML_CALLS names a file that gets the name of each function called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9,
};
enum { MIB = 1 << 20, MIG_INSTANCES = 7 };

typedef struct { char id[16], uuid[96], name[96]; long total, used, temperature, utilization; int fault, hidden, mig; } card;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process;

static int initialized;

static FILE *state(void)
{
    const char *path = getenv("ORZE_FAKE_NVML");
    return path ? fopen(path, "r") : NULL;
}

/* Note the call; the answer is the fault of the driver as a whole, and its version where it is wanted. */
static int driver(const char *function, char *version)
{
    char line[512], words[80];
    int fault = DRIVER_NOT_LOADED;
    const char *calls = getenv("ORZE_FAKE_NVML_CALLS");
    FILE *log = calls ? fopen(calls, "a") : NULL;
    if (log) { fprintf(log, "%s\n", function); fclose(log); }
    FILE *file = state();
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "driver %79s %d", words, &fault) == 2 && version) strcpy(version, words);
    if (file) fclose(file);
    return fault;
}

static int next_card(FILE *file, card *found)
{
    char line[512];
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "device %15s %95s %ld %ld %d %d %ld %ld %d %95[^\n]", found->id, found->uuid, &found->total,
                   &found->used, &found->fault, &found->hidden, &found->temperature, &found->utilization,
                   &found->mig, found->name) == 10)
            return 1;
    return 0;
}

/* A handle is 100 (i + 1) for card i, and 100 (i + 1) + k + 1 for its MIG instance k. */
static void name_of(long handle, char id[40])
{
    if (handle % 100) sprintf(id, "%ld:%ld", handle / 100 - 1, handle % 100 - 1);
    else sprintf(id, "%ld", handle / 100 - 1);
}

static int find(const char *function, long handle, card *found)
{
    int answer = driver(function, NULL);
    if (!initialized) return UNINITIALIZED;
    if (answer) return answer;
    char id[40];
    name_of(handle, id);
    FILE *file = state();
    answer = NOT_FOUND;
    while (file && answer == NOT_FOUND && next_card(file, found))
        if (!strcmp(found->id, id)) answer = found->fault;
    if (file) fclose(file);
    return answer;
}

#define FIND(handle) card it; int answer = find(__func__, (long)(handle), &it); if (answer) return answer

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    int answer = driver(__func__, NULL);
    initialized = !answer;
    return answer;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void)
{
    int answer = driver(__func__, NULL);
    initialized = 0;
    return answer;
}

const char *nvmlErrorString(int result) { return result ? "Fake Error" : "Success"; }

int nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    char words[80];
    int answer = driver(__func__, words);
    if (!answer) snprintf(version, length, "%s", words);
    return answer;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    card it;
    int answer = driver(__func__, NULL);
    FILE *file = answer ? NULL : state();
    for (*count = 0; file && next_card(file, &it);) *count += !strchr(it.id, ':');
    if (file) fclose(file);
    return answer;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    FIND(100L * (index + 1));
    *handle = (void *)(100L * (index + 1));
    return SUCCESS;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length)
{
    FIND(handle);
    snprintf(uuid, length, "%s", it.uuid);
    return SUCCESS;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned length)
{
    FIND(handle);
    snprintf(name, length, "%s", it.name);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long memory[3])
{
    FIND(handle);
    if (it.used < 0) return NOT_SUPPORTED;
    memory[0] = (unsigned long long)it.total * MIB;
    memory[1] = (unsigned long long)(it.total - it.used) * MIB;
    memory[2] = (unsigned long long)it.used * MIB;
    return SUCCESS;
}

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *memory)
{
    FIND(handle);
    if (memory->version != (sizeof *memory | 2 << 24)) return INVALID_ARGUMENT;
    if (it.used < 0) return NOT_SUPPORTED;
    memory->total = (unsigned long long)it.total * MIB;
    memory->reserved = 0;
    memory->used = (unsigned long long)it.used * MIB;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process *processes)
{
    FIND(handle);
    if (it.hidden) return it.hidden;
    char line[512], id[16];
    unsigned room = *count, pid;
    long used;
    *count = 0;
    FILE *file = state();
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "process %15s %u %ld", id, &pid, &used) == 3 && !strcmp(id, it.id)) {
            if (processes && *count < room)
                processes[*count] = (process){pid, used < 0 ? -1ULL : (unsigned long long)used * MIB, -1U, -1U};
            ++*count;
        }
    if (file) fclose(file);
    return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *temperature)
{
    FIND(handle);
    if (sensor) return INVALID_ARGUMENT;
    if (strchr(it.id, ':')) return NOT_SUPPORTED;
    *temperature = (unsigned)it.temperature;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(void *handle, unsigned rates[2])
{
    FIND(handle);
    if (strchr(it.id, ':')) return NOT_SUPPORTED;
    rates[0] = (unsigned)it.utilization;
    rates[1] = 0;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    FIND(handle);
    if (it.mig < 0) return NOT_SUPPORTED;
    *current = *pending = (unsigned)it.mig;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count)
{
    FIND(handle);
    *count = it.mig < 0 ? 0 : MIG_INSTANCES;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **instance)
{
    FIND((long)handle + index + 1);
    *instance = (void *)((long)handle + index + 1);
    return SUCCESS;
}
