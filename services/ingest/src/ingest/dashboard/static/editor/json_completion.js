/* What may be written at a place of the flow's JSON: names of fields and values, from the JSON Schema. */
import { dataPart, partOf } from "editor/form_schema";

function resolved(schema, described) {
  if (!described) return [];
  return (described.anyOf || [described]).filter((arm) => arm.type !== "null").map((arm) => (arm.$ref ? { ...partOf(schema, arm.$ref.split("/").at(-1)), part: arm.$ref.split("/").at(-1) } : arm));
}

/* The parts that describe the value at a path. `typeOf(index)` is the type of a node. */
function at(schema, path, typeOf) {
  let found = [{ ...schema, part: "Flow" }];
  path.forEach((step, index) => {
    const isData = index === 2 && path[0] === "nodes" && step === "data";
    const data = isData ? dataPart(schema, typeOf(path[1])) : null;
    if (data) {
      found = resolved(schema, { $ref: `#/$defs/${data}` });
      return;
    }
    found = found.flatMap((part) => resolved(schema, typeof step === "number" ? part.items : part.properties?.[step]));
  });
  return found;
}

/* [{name, part}]: fields of the object at the path, without those that it has. */
export function namesAt(schema, path, typeOf, present) {
  const found = at(schema, path, typeOf).flatMap((part) => Object.keys(part.properties || {}).map((name) => ({ name, part: part.part, described: part.properties[name] })));
  return found.filter(({ name }) => !present.includes(name));
}

/* [{value, part, field}]: the values that are listed for the place. */
export function valuesAt(schema, path, typeOf) {
  const field = path.at(-1);
  const owners = at(schema, path.slice(0, -1), typeOf);
  return owners.flatMap((owner) =>
    resolved(schema, typeof field === "number" ? owner.items : owner.properties?.[field]).flatMap((arm) => (arm.enum || (arm.type === "boolean" ? [true, false] : [])).map((value) => ({ value, part: owner.part, field }))),
  );
}

/* How a new value of the field begins. */
export function startOf(schema, described) {
  const [arm] = resolved(schema, described);
  if (!arm || arm.enum || arm.type === "string") return '""';
  if (arm.type === "array") return "[]";
  if (arm.type === "object") return "{}";
  return "";
}
