import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { changed } from "./poll";

/** A button that asks before it acts, and says what went wrong. */
export function Action(props: {
  name: string;
  /** What it is called where several have the same name. */
  label?: string;
  title: string;
  children: ComponentChildren;
  confirm: string;
  act: (form: FormData) => Promise<void>;
  danger?: true;
}) {
  const { name, label, title, children, confirm, act, danger } = props;
  const [open, setOpen] = useState(false);
  const [error, setError] = useState<Error>();
  const [busy, setBusy] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
  }, [open]);
  // The browser gives the focus back to what had it, once the dialog says that it is closed.
  const close = () => dialog.current?.close();
  const closed = () => {
    setOpen(false);
    setError(undefined);
  };
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await act(new FormData(event.currentTarget as HTMLFormElement));
      close();
      changed();
    } catch (trouble) {
      setError(trouble as Error);
    }
    setBusy(false);
  };
  return (
    <>
      <button
        type="button"
        class={danger && "danger"}
        aria-haspopup="dialog"
        aria-label={label}
        onClick={() => setOpen(true)}
      >
        {name}
      </button>
      {open && (
        <dialog ref={dialog} aria-label={title} onClose={closed}>
          <form onSubmit={submit}>
            <h2>{title}</h2>
            {children}
            <p class="trouble" role="alert">
              {error?.message}
            </p>
            <div class="choices">
              <button type="button" onClick={close}>
                Cancel
              </button>
              <button type="submit" class={danger ? "danger strong" : "strong"} disabled={busy}>
                {confirm}
              </button>
            </div>
          </form>
        </dialog>
      )}
    </>
  );
}
