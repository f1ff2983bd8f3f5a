// Every scenario once, tiny (suite.ts), where the benchmark can run at all.
import { leftOut } from "../support.ts";

if (process.platform === "linux") await import("./suite.ts");
else leftOut("the scenarios of the benchmark", "it reads /proc and speaks to Linux' epoll");
