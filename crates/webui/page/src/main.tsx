import { render } from "preact";

import { App } from "./app";
import "./dialog.css";
import "./list.css";
import "./terminal.css";
// The last of them: it has what is otherwise on a phone.
import "./style.css";

const place = document.getElementById("page");
if (place) render(<App />, place);
