package grammar

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const deployUsage = "/deploy [SERVICE][@REF] [to ENVIRONMENT] {KEY=VALUE}"

// parseDeploy reads [SERVICE][@REF] [to|on|in ENV] {KEY=VALUE}. Parameters may
// stand anywhere; everything may be left out.
func parseDeploy(words []word) (Sentence, error) {
	s := Sentence{Verb: VerbDeploy}
	for i := 0; i < len(words); i++ {
		var err error
		switch w := words[i]; {
		case w.equals > 0:
			err = s.setParameter(w)
		case w.is("to") || w.is("on") || w.is("in"):
			if i+1 == len(words) || words[i+1].equals > 0 {
				return Sentence{}, refuse(CodeUsage, deployUsage, "%s needs the name of an environment after it. It goes `%s`.", Quote(w.text), deployUsage)
			}
			i++
			err = s.setEnvironment(words[i])
		default:
			err = s.setTarget(w)
		}
		if err != nil {
			return Sentence{}, err
		}
	}
	return s, nil
}

func (s *Sentence) setEnvironment(w word) error {
	if s.Environment != "" {
		return refuse(CodeUsage, deployUsage, "One environment at a time: %s or %s? Nothing was started.", Quote(s.Environment), Quote(w.text))
	}
	if utf8.RuneCountInString(w.text) > MaxName {
		return tooLong("An environment's name", MaxName)
	}
	s.Environment = w.text
	return nil
}

// setTarget reads SERVICE, @REF or SERVICE@REF.
func (s *Sentence) setTarget(w word) error {
	service, ref, hasRef := strings.Cut(w.text, "@")
	if service != "" && (s.Service != "" || s.Environment != "" || s.Ref != "") {
		return s.surplus(w)
	}
	if utf8.RuneCountInString(service) > MaxName {
		return tooLong("A service's name", MaxName)
	}
	if service != "" {
		s.Service = service
	}
	if !hasRef {
		return nil
	}
	if s.Ref != "" {
		return refuse(CodeRef, deployUsage, "One ref at a time: %s or %s? Nothing was started.", Quote(s.Ref), Quote(ref))
	}
	if err := CheckRef(ref); err != nil {
		return err
	}
	s.Ref = ref
	return nil
}

// surplus refuses a second bare word. A guess here would be a deployment that
// nobody asked for.
func (s *Sentence) surplus(w word) error {
	if s.Service != "" && s.Environment == "" {
		return refuse(CodeUsage, deployUsage, "I do not understand %s there. Did you mean %s?", Quote(w.text), Quote("/deploy "+s.Service+" to "+w.text))
	}
	return refuse(CodeUsage, deployUsage, "I do not understand %s there. It goes `%s`.", Quote(w.text), deployUsage)
}

// CheckRef says whether text is fit to name a version: it can never be taken
// for an option, holds no white space and nothing invisible. The error is an
// *Error.
func CheckRef(ref string) error {
	why := ""
	switch {
	case ref == "":
		why = "there is nothing after the @"
	case utf8.RuneCountInString(ref) > MaxRef:
		why = "it is longer than 200 characters"
	case strings.HasPrefix(ref, "-"):
		why = "it starts with a dash"
	case !utf8.ValidString(ref) || strings.ContainsFunc(ref, unsafeInRef):
		why = "it contains white space or an invisible character"
	default:
		return nil
	}
	return refuse(CodeRef, deployUsage, "%s cannot be a version: %s. Name a branch, a tag or a commit.", Quote(ref), why)
}

func unsafeInRef(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

func (s *Sentence) setParameter(w word) error {
	key, value := w.text[:w.equals], w.text[w.equals+1:]
	switch {
	case !validKey(key):
		return refuse(CodeParam, deployUsage, "%s is not the name of a parameter: letters, digits, _ and -, starting with a letter.", Quote(key))
	case utf8.RuneCountInString(value) > MaxValue:
		return tooLong("The value of "+Quote(key), MaxValue)
	case len(s.Parameters) == MaxParameters:
		return refuse(CodeParam, deployUsage, "That is more than %d parameters.", MaxParameters)
	}
	if _, twice := s.Parameters[key]; twice {
		return refuse(CodeParam, deployUsage, "%s is given twice. Nothing was started.", Quote(key))
	}
	if s.Parameters == nil {
		s.Parameters = map[string]string{}
	}
	s.Parameters[key] = value
	return nil
}

func validKey(key string) bool {
	if key == "" || len(key) > MaxName {
		return false
	}
	for i, r := range key {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return true
}
