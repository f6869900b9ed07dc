/*
 * Stands in for a DLL of Windows that wine 8 lacks, so that the program starts there. Only for tests: Windows has the real
 * one.
 *
 * std imports `ProcessPrng` from it. `SystemFunction036` is the same generator under its older name.
 *
 * wine sets some variables from its registry and ignores those of the caller. A test passes them as WINE_NAME, and this DLL,
 * which is loaded before `main`, sets NAME.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG size);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T size) {
    while (size > 0) {
        ULONG part = size > 0x10000 ? 0x10000 : (ULONG)size;
        if (!SystemFunction036(buffer, part))
            return FALSE;
        buffer += part;
        size -= part;
    }
    return TRUE;
}

static void set_from_caller(const WCHAR *name, const WCHAR *passed) {
    WCHAR value[32767];
    DWORD length = GetEnvironmentVariableW(passed, value, 32767);
    if (length > 0 && length < 32767) {
        SetEnvironmentVariableW(name, value);
        SetEnvironmentVariableW(passed, NULL);
    }
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved) {
    (void)instance;
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        set_from_caller(L"USERPROFILE", L"WINE_USERPROFILE");
        set_from_caller(L"APPDATA", L"WINE_APPDATA");
        set_from_caller(L"LOCALAPPDATA", L"WINE_LOCALAPPDATA");
        set_from_caller(L"PATH", L"WINE_PATH");
        set_from_caller(L"TEMP", L"WINE_TEMP");
    }
    return TRUE;
}
